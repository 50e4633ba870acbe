import { mkdir, symlink, writeFile } from 'node:fs/promises';
import path from 'node:path';
import t from 'tap';
import { contentsOf, stepsWorld } from './world.ts';

/** The two folders that a sandbox can be in, and what was left of an earlier try. */

t.test('a restart from a pause begins although a resume left a live folder', async (t) => {
  const { run, fill, paths } = await stepsWorld(t);
  await fill(paths.snapshot);
  await mkdir(paths.live);
  await writeFile(path.join(paths.live, 'stray'), 'x');
  await run('forgetMemory');
  t.same(Object.keys((await contentsOf(paths.live)) ?? {}), ['disk'], 'the disk of the snapshot');
  t.equal(await contentsOf(paths.snapshot), undefined);
});

t.test('while what was left cannot be cleared, the memory is kept', async (t) => {
  const { run, fill, paths, drivers } = await stepsWorld(t);
  await fill(paths.snapshot);
  await mkdir(paths.live);
  const before = await contentsOf(paths.snapshot);
  drivers.disk.remove = async () => {
    throw new Error('it is open');
  };
  await t.rejects(run('forgetMemory'), /it is open/);
  t.same(await contentsOf(paths.snapshot), before);
});

t.test('a restart that was interrupted after its rename leaves the disk alone', async (t) => {
  const { run, fill, paths } = await stepsWorld(t);
  await fill(paths.snapshot);
  await run('forgetMemory');
  await run('forgetMemory');
  t.same(Object.keys((await contentsOf(paths.live)) ?? {}), ['disk']);
});

t.test('a pause without any folder is not committed, and there is nothing to go back to', async (t) => {
  const { run, fill, paths, root } = await stepsWorld(t);
  await mkdir(path.join(root, path.basename(paths.root)), { recursive: true });
  await t.rejects(run('commitSnapshot'), { code: 'SNAPSHOT_INVALID', detail: /neither live/ });
  await t.rejects(run('relaunchVm'), { code: 'SNAPSHOT_INVALID', detail: /neither live/ });
  await fill(paths.snapshot);
  await run('commitSnapshot');
  t.pass('one that was committed before is');
});

t.test('a folder that nobody can look at is not taken for absent', async (t) => {
  const { run, fill, paths } = await stepsWorld(t);
  await fill(paths.snapshot);
  await symlink(paths.live, paths.live);
  await t.rejects(run('commitSnapshot'), { cause: { code: 'ELOOP' } });
});
