import { mkdir, readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import path from 'node:path';
import t from 'tap';
import { PLATFORM_TEAM_ID } from '../../../src/ids.ts';
import { image, makeTemplate, OTHER_TEAM, TEAM, templateFile, templateStore } from './template-folders.ts';

const MIB = 2 ** 20;
const names = (list: ReadonlyArray<{ name: string }>): string[] => list.map(({ name }) => name).sort();

t.test('a template of the platform is built once and found again', async (t) => {
  const { templates, open, paths } = await templateStore(t);
  t.throws(() => templates.get(TEAM, 'minimal'), { code: 'TEMPLATE_NOT_FOUND', detail: /There are: none/ });
  let built = 0;
  const count = async (imagePath: string): Promise<void> => {
    built += 1;
    await image()(imagePath);
  };
  const made = await templates.ensure('minimal', count);
  t.match(made, { sizeMb: 64, imagePath: path.join(paths.templates, 'minimal', 'rootfs.ext4') });
  t.equal(await templates.ensure('minimal', count), made);
  const later = await open();
  t.match(await later.ensure('minimal', count), { sizeMb: 64, imagePath: made.imagePath });
  t.equal(built, 1);
});

t.test('what hosts wrote before teams had templates is still read', async (t) => {
  const { open, paths } = await templateStore(t);
  const dir = path.join(paths.templates, 'minimal');
  await mkdir(dir);
  await image()(path.join(dir, 'rootfs.ext4'));
  await writeFile(path.join(dir, 'template.json'), JSON.stringify({ v: 1, name: 'minimal', size_mb: 64 }));
  const templates = await open();
  t.match(await templates.details(templates.get(TEAM, 'minimal')), {
    team_id: PLATFORM_TEAM_ID,
    kind: 'base',
    memory: false,
    vcpus: 1,
    memory_mb: 512,
    disk_size_mb: 20_480,
    host_id: 'h-test',
    env: {},
  });
});

t.test('a build of the platform that fails leaves no template, and is tried again', async (t) => {
  const { templates } = await templateStore(t);
  await t.rejects(
    templates.ensure('minimal', async () => {
      throw new Error('no mkfs');
    }),
    { message: 'no mkfs' },
  );
  t.throws(() => templates.get(TEAM, 'minimal'), { code: 'TEMPLATE_NOT_FOUND' });
  await templates.ensure('minimal', image());
  t.equal(templates.get(TEAM, 'minimal').file.name, 'minimal');
});

t.test(
  'a description that cannot be removed: the newer one is there, and removing is answered with a reason',
  async (t) => {
    // Found by the simulation: "disks" and "a snapshot", a change of the file system fails.
    const { templates, paths } = await templateStore(t);
    const first = await makeTemplate(templates);
    const blocked = path.join(paths.templates, first.id, 'template.json');
    await rm(blocked);
    await mkdir(blocked);
    await t.rejects(templates.remove(TEAM, first.name), { code: 'DATA_DIR_UNWRITABLE' });
    t.equal(templates.get(TEAM, first.name).file.id, first.id, 'it is offered as before');
    const second = await makeTemplate(templates, {}, { overwrite: true });
    t.equal(templates.get(TEAM, first.name).file.id, second.id);
    await rm(blocked, { recursive: true });
  },
);

t.test('a name is looked up in the team first, and of other teams nothing is told', async (t) => {
  const { templates } = await templateStore(t);
  await templates.ensure('minimal', image());
  await makeTemplate(templates, { name: 'minimal' });
  await makeTemplate(templates, { name: 'secret', team_id: OTHER_TEAM });
  t.equal(templates.get(TEAM, 'minimal').file.team_id, TEAM);
  t.equal(templates.get(OTHER_TEAM, 'minimal').file.team_id, PLATFORM_TEAM_ID);
  t.throws(() => templates.get(TEAM, 'secret'), {
    code: 'TEMPLATE_NOT_FOUND',
    detail: /"secret".*There are: minimal\.$/,
  });
});

t.test(
  'folders that are not whole are not offered; only those that were built here are strays',
  async (t) => {
    const { templates, open, paths } = await templateStore(t);
    await makeTemplate(templates, { name: 'good' });
    const whole = await readdir(paths.templates);
    const unfinished = 't-aaaaaaaaaaaaaaaaaaaa';
    const broken: Record<string, Record<string, string>> = {
      empty: {},
      [unfinished]: { 'rootfs.ext4': 'image' },
      'no-image': { 'template.json': JSON.stringify(templateFile('no-image')) },
      'no-memory': { 'template.json': JSON.stringify(templateFile('no-memory', { memory: true })) },
      cut: { 'rootfs.ext4': 'image', 'template.json': '{"v":1,"name":"cu' },
      // Of a version that is newer than this one.
      't-bbbbbbbbbbbbbbbbbbbb': { 'rootfs.ext4': 'image', 'template.json': '{"v":3}' },
      'no-object': { 'rootfs.ext4': 'image', 'template.json': 'null' },
    };
    for (const [name, files] of Object.entries(broken)) {
      await mkdir(path.join(paths.templates, name));
      for (const [file, text] of Object.entries(files))
        await writeFile(path.join(paths.templates, name, file), text);
    }
    await writeFile(path.join(paths.templates, 'a-file'), '');
    const later = await open();
    t.same(names(await later.describe()), ['good']);
    const strays = await later.strays();
    t.same(
      strays.map(({ id }) => id),
      [unfinished],
    );
    for (const stray of strays) t.equal(await later.removeStray(stray), true);
    const { [unfinished]: _, ...kept } = broken;
    t.same((await readdir(paths.templates)).sort(), [...Object.keys(kept), ...whole, 'a-file'].sort());
  },
);

t.test('an unfinished template stays as long as a disk stands on its image', async (t) => {
  const { templates, paths, origins } = await templateStore(t, { diskKind: 'device-mapper' });
  const dir = path.join(paths.templates, 't-aaaaaaaaaaaaaaaaaaaa');
  await mkdir(dir);
  await image()(path.join(dir, 'rootfs.ext4'));
  const sandbox = path.join(paths.sandboxes, 'sb-aaaaaaaaaaaaaaaaaaaa', 'live');
  await mkdir(sandbox, { recursive: true });
  origins.set(sandbox, path.join(dir, 'rootfs.ext4'));
  const [stray] = await templates.strays();
  t.equal(stray && (await templates.removeStray(stray)), false);
  origins.clear();
  t.equal(stray && (await templates.removeStray(stray)), true);
  t.same(await readdir(paths.templates), []);
});

t.test('a template that cannot be made leaves nothing', async (t) => {
  const { templates, paths } = await templateStore(t);
  const wish = { teamId: TEAM, name: 'python', overwrite: false };
  await t.rejects(
    templates.make(wish, async ({ dir }) => {
      await image()(path.join(dir, 'rootfs.ext4'));
      t.same(await templates.strays(), [], 'while it is being made it is no stray');
      await t.rejects(makeTemplate(templates), { code: 'TEMPLATE_EXISTS', detail: /being made right now/ });
      throw new Error('it does not boot');
    }),
    { message: 'it does not boot' },
  );
  t.same(await readdir(paths.templates), []);
  t.same(await templates.describe(), []);
  await makeTemplate(templates);
  await t.rejects(makeTemplate(templates), { code: 'TEMPLATE_EXISTS' });
});

t.test('one that is overwritten goes at once, if nobody needs it', async (t) => {
  const { templates, open, paths, clock } = await templateStore(t);
  const first = await makeTemplate(templates);
  clock.advance(1);
  const second = await makeTemplate(templates, {}, { overwrite: true });
  t.same(await readdir(paths.templates), [second.id]);
  t.not(second.id, first.id);
  t.ok(second.created_at > first.created_at, 'also when the clock has not moved as far');
  const later = await open();
  t.equal(later.get(TEAM, 'python').file.id, second.id);
});

t.test('one that is overwritten waits for the disks that stand on it, and never comes back', async (t) => {
  const { templates, open, paths, origins } = await templateStore(t, { diskKind: 'device-mapper' });
  const first = await makeTemplate(templates);
  const sandbox = path.join(paths.sandboxes, 'sb-aaaaaaaaaaaaaaaaaaaa', 'snapshot');
  await mkdir(sandbox, { recursive: true });
  origins.set(sandbox, path.join(paths.templates, first.id, 'rootfs.ext4'));
  const second = await makeTemplate(templates, {}, { overwrite: true });
  t.same((await readdir(paths.templates)).sort(), [first.id, second.id].sort());
  t.match(await templates.describe(), [{ id: second.id }]);
  t.same(
    await readFile(path.join(paths.templates, first.id, 'rootfs.ext4')).then(({ length }) => length > 0),
    true,
  );

  const later = await open();
  await later.remove(TEAM, 'python');
  t.same(await later.describe(), [], 'the one before it is no template any more');
  t.same(await (await open()).describe(), []);
  const [stray] = await later.strays();
  t.equal(stray?.id, first.id);
  t.equal(stray && (await later.isNeeded(stray)), true);
  origins.clear();
  t.equal(stray && (await later.removeStray(stray)), true);
  t.same(await readdir(paths.templates), []);
});

t.test('a template is removed only when nobody needs it', async (t) => {
  const { templates, paths, origins } = await templateStore(t, { diskKind: 'device-mapper' });
  await templates.ensure('minimal', image());
  const { id } = await makeTemplate(templates);
  const imagePath = path.join(paths.templates, id, 'rootfs.ext4');
  const users = {
    'sb-aaaaaaaaaaaaaaaaaaaa': path.join(paths.sandboxes, 'sb-aaaaaaaaaaaaaaaaaaaa', 'live'),
    'the copy k-aaaaaaaaaaaaaaaaaaaa of a sandbox': path.join(paths.captures, 'k-aaaaaaaaaaaaaaaaaaaa'),
    'the saved machine minimal 1x512': path.join(paths.templates, 'minimal', 'warm', '1x512'),
  };
  const own = path.join(paths.templates, id, 'warm-device-mapper', '1x512');
  for (const dir of [...Object.values(users), own]) {
    await mkdir(dir, { recursive: true });
    origins.set(dir, imagePath);
  }
  await t.rejects(templates.remove(TEAM, 'python'), {
    code: 'TEMPLATE_IN_USE',
    data: { users: Object.keys(users) },
  });
  t.equal(templates.get(TEAM, 'python').file.id, id, 'it is offered as before');
  for (const dir of Object.values(users)) origins.delete(dir);
  await templates.lend(templates.get(TEAM, 'python'), 'sb-bbbbbbbbbbbbbbbbbbbb', async () => {
    await t.rejects(templates.remove(TEAM, 'python'), {
      code: 'TEMPLATE_IN_USE',
      data: { users: ['sb-bbbbbbbbbbbbbbbbbbbb'] },
    });
  });
  t.match(await templates.remove(TEAM, 'python'), { id, name: 'python' }, 'its own booted states go along');
  t.same(await readdir(paths.templates), ['minimal']);
  await t.rejects(templates.remove(TEAM, 'python'), { code: 'TEMPLATE_NOT_FOUND' });
  await t.rejects(templates.remove(TEAM, 'minimal'), { code: 'FORBIDDEN' });
  t.match(await templates.remove(PLATFORM_TEAM_ID, 'minimal'), { name: 'minimal' });
});

t.test('the size of a template is that of its image, whatever its description says', async (t) => {
  const { templates, open, paths } = await templateStore(t);
  t.match(await templates.ensure('minimal', image(65)), { sizeMb: 65 });
  await makeTemplate(templates);
  const flat = await makeTemplate(templates, { name: 'flat', kind: 'snapshot' });
  const images = templates.images();
  t.same(names(images), ['minimal', 'python'], 'what was made from a sandbox stays as small as it is');
  for (const { imagePath } of images) await truncate(imagePath, 100 * MIB + 1);
  t.equal(templates.get(TEAM, 'minimal').sizeMb, 65, 'measured when it is asked for');
  await templates.refresh();
  t.equal(templates.get(TEAM, 'minimal').sizeMb, 101, 'rounded up: a disk that is smaller cannot hold it');
  const later = await open();
  t.equal(later.get(TEAM, 'python').sizeMb, 101);

  await rm(path.join(paths.templates, flat.id, 'rootfs.ext4'));
  await later.refresh();
  t.throws(() => later.get(TEAM, 'flat'), { code: 'TEMPLATE_NOT_FOUND' }, 'its image is gone');
});

t.test('the command that made a template finds it again', async (t) => {
  const { templates, open } = await templateStore(t);
  const { id } = await makeTemplate(templates, { command_id: 'c-1' });
  t.equal(templates.madeBy('c-1')?.file.id, id);
  t.equal((await open()).madeBy('c-1')?.file.id, id);
  t.equal(templates.madeBy('c-2'), undefined);
});
