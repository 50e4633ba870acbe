import { mkdir, symlink } from 'node:fs/promises';
import path from 'node:path';
import t from 'tap';
import { imageUsers } from '../../../src/actors/host/image-users.ts';
import { image, makeTemplate, templateStore } from './template-folders.ts';

t.test('those who need an image are named, whatever folder their disk is in', async (t) => {
  const { templates, paths, origins, usersOf } = await templateStore(t, { diskKind: 'device-mapper' });
  const { imagePath = '' } = await templates.ensure('minimal', image());
  const { id } = await makeTemplate(templates);
  const team = path.join(paths.templates, id);
  const users = {
    'sb-aaaaaaaaaaaaaaaaaaaa': path.join(paths.sandboxes, 'sb-aaaaaaaaaaaaaaaaaaaa', 'live'),
    'sb-bbbbbbbbbbbbbbbbbbbb': path.join(paths.sandboxes, 'sb-bbbbbbbbbbbbbbbbbbbb', 'snapshot'),
    'the copy k-aaaaaaaaaaaaaaaaaaaa of a sandbox': path.join(paths.captures, 'k-aaaaaaaaaaaaaaaaaaaa'),
    'the saved machine minimal 1x512': path.join(paths.templates, 'minimal', 'warm-device-mapper', '1x512'),
    'the template python': path.join(team, 'snapshot'),
  };
  t.same(await usersOf(imagePath), []);
  for (const dir of Object.values(users)) {
    await mkdir(dir, { recursive: true });
    origins.set(dir, imagePath);
  }
  t.same((await usersOf(imagePath)).sort(), Object.keys(users).sort());
  t.notOk((await usersOf(imagePath, { but: team })).includes('the template python'));
  t.same(await usersOf(path.join(team, 'rootfs.ext4')), [], 'another image has other users');

  const alias = path.join(paths.templates, 'alias');
  await symlink(imagePath, alias);
  t.equal((await usersOf(alias)).length, 5, 'a disk names the file itself');
});

t.test('a disk that cannot be read may stand on any image', async (t) => {
  const { paths, templates } = await templateStore(t);
  const { imagePath = '' } = await templates.ensure('minimal', image());
  await mkdir(path.join(paths.sandboxes, 'sb-aaaaaaaaaaaaaaaaaaaa', 'live'), { recursive: true });
  const usersOf = imageUsers({ imageOf: () => Promise.reject(new Error('damaged')) }, paths);
  t.same(await usersOf(imagePath), ['sb-aaaaaaaaaaaaaaaaaaaa']);
});

t.test('a disk that is moved while it is looked for is found', async (t) => {
  const { paths, templates } = await templateStore(t);
  const { imagePath = '' } = await templates.ensure('minimal', image());
  const sandbox = path.join(paths.sandboxes, 'sb-aaaaaaaaaaaaaaaaaaaa');
  await mkdir(sandbox, { recursive: true });
  let place = 'snapshot';
  const usersOf = imageUsers(
    {
      async imageOf(dir) {
        const there = path.basename(dir) === place;
        // It leaves `snapshot/` when `live/` has been looked at.
        if (path.basename(dir) === 'live') place = 'live';
        return there ? imagePath : undefined;
      },
    },
    paths,
  );
  t.same(await usersOf(imagePath), ['sb-aaaaaaaaaaaaaaaaaaaa']);
});
