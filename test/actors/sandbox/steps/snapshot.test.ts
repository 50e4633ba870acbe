import { mkdir, writeFile } from 'node:fs/promises';
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
