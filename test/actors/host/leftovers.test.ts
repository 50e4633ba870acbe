import { mkdir, readdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import t, { type Test } from 'tap';
import { Captures } from '../../../src/actors/host/captures.ts';
import { Leftovers } from '../../../src/actors/host/leftovers.ts';
import { Uploads } from '../../../src/actors/host/uploads.ts';
import { quiet } from '../../support/quiet.ts';
import { image, makeTemplate, templateStore } from './template-folders.ts';

const UNFINISHED = 't-aaaaaaaaaaaaaaaaaaaa';

async function world(t: Test) {
  const store = await templateStore(t, { diskKind: 'device-mapper' });
  const { clock, paths, templates } = store;
  const uploadsRoot = path.join(store.store, 'uploads');
  const uploads = new Uploads({ root: uploadsRoot, maxMb: 1, checkSpace: async () => {}, clock });
  const captures = new Captures(paths.captures, { clock, log: quiet });
  const leftovers = new Leftovers({ templates, captures, uploads, sandboxes: () => [], log: quiet });
  /** What an agent leaves that is killed in the midst of everything. */
  const leave = async (): Promise<void> => {
    await mkdir(path.join(paths.captures, 'k-left'), { recursive: true });
    await mkdir(path.join(uploadsRoot, 'u-left.work'), { recursive: true });
    await writeFile(path.join(uploadsRoot, 'u-left'), 'half');
    await mkdir(path.join(paths.templates, UNFINISHED));
    await image()(path.join(paths.templates, UNFINISHED, 'rootfs.ext4'));
  };
  const left = async (): Promise<string[]> => [
    ...(await readdir(paths.captures)),
    ...(await readdir(uploadsRoot)),
    ...(await readdir(paths.templates)),
  ];
  return { ...store, leftovers, leave, left };
}

t.test('a start removes what an agent left that was killed; whole templates stay', async (t) => {
  const { leftovers, leave, left, templates } = await world(t);
  const { id } = await makeTemplate(templates);
  await leave();
  t.equal(await leftovers.begin(), 4);
  t.same(await left(), [id]);
});

t.test('so does every pass, and until then it is told as a leak', async (t) => {
  const { leftovers, leave, left } = await world(t);
  await leave();
  const leaks = await leftovers.find();
  t.same(
    leaks.map(({ kind, name }) => `${kind} ${name}`),
    ['capture k-left', 'upload u-left', 'upload u-left.work', `template ${UNFINISHED}`],
  );
  await leftovers.pass();
  t.same(await leftovers.find(), []);
  t.same(await left(), []);
});

t.test('a template that a disk stands on waits for it, and is no leak', async (t) => {
  const { leftovers, leave, left, origins, paths } = await world(t);
  await leave();
  const disk = path.join(paths.sandboxes, 'sb-aaaaaaaaaaaaaaaaaaaa', 'live');
  await mkdir(disk, { recursive: true });
  origins.set(disk, path.join(paths.templates, UNFINISHED, 'rootfs.ext4'));
  await leftovers.begin();
  await leftovers.pass();
  t.same(await left(), [UNFINISHED]);
  t.same(await leftovers.find(), []);
  origins.clear();
  await leftovers.pass();
  t.same(await left(), []);
});
