import { access, truncate } from 'node:fs/promises';
import path from 'node:path';
import t from 'tap';
import type { SandboxContext } from '../../../../src/actors/sandbox/context.ts';
import { contentsOf, DISK_MB, stepsWorld } from './world.ts';

/** How a disk grows that was made larger while its sandbox was paused. */

const MB = 2 ** 20;
const LARGER_MB = DISK_MB + 1;
const larger = ({ options }: SandboxContext): Partial<SandboxContext> => ({
  options: { ...options, disk_size_mb: LARGER_MB },
});
const isThere = (file: string): Promise<boolean> =>
  access(file).then(
    () => true,
    () => false,
  );

t.test('a resume clones to the size that is asked for, and leaves the snapshot as it is', async (t) => {
  const { run, fill, paths, context } = await stepsWorld(t);
  await fill(paths.snapshot);
  const before = await contentsOf(paths.snapshot);
  await run('cloneSnapshot', larger(context));
  t.equal((await contentsOf(paths.live))?.disk?.length, LARGER_MB * MB);
  t.same(await contentsOf(paths.snapshot), before);
  await run('cloneSnapshot');
  t.equal((await contentsOf(paths.live))?.disk?.length, DISK_MB * MB);
});

t.test('the monitor is told before the guest runs, and the guest when it does', async (t) => {
  const { run, fill, paths, context, asked } = await stepsWorld(t);
  await fill(paths.snapshot);
  await run('wakeGuest', larger(context));
  t.same(asked, [`grow disk to ${LARGER_MB}`, 'thaw', 'identify', `grow root to ${LARGER_MB}`]);
  asked.length = 0;
  await run('wakeGuest');
  t.same(asked, ['thaw', 'identify'], 'one that has not grown is not touched');
});

t.test('so it is with a new sandbox that starts from a smaller saved machine', async (t) => {
  const { run, fill, paths, context, asked } = await stepsWorld(t);
  await fill(paths.snapshot);
  const source = { kind: 'snapshot', dir: paths.snapshot } as const;
  await run('welcomeGuest', { ...larger(context), source });
  t.same(asked, [`grow disk to ${LARGER_MB}`, 'thaw', 'identify', `grow root to ${LARGER_MB}`]);
});

t.test('a restart from a pause grows the disk before it gives the memory up', async (t) => {
  const { run, fill, paths, context } = await stepsWorld(t);
  await fill(paths.snapshot);
  await run('forgetMemory', larger(context));
  t.same(Object.keys((await contentsOf(paths.live)) ?? {}), ['disk']);
  t.equal((await contentsOf(paths.live))?.disk?.length, LARGER_MB * MB);
  await run('forgetMemory', larger(context));
  t.equal((await contentsOf(paths.live))?.disk?.length, LARGER_MB * MB, 'done again it changes nothing');
});

t.test('while there is no room for that, the memory is kept', async (t) => {
  const { run, fill, paths, context, drivers } = await stepsWorld(t);
  await fill(paths.snapshot);
  drivers.disk.grow = async () => {
    throw new Error('no room');
  };
  await t.rejects(run('forgetMemory', larger(context)), /no room/);
  t.ok(await isThere(path.join(paths.snapshot, 'meta.json')), 'it can be resumed as before');
  t.notOk(await isThere(paths.live));
});

t.test(
  'a snapshot whose disk has grown, when the rest of a restart failed, is resumed all the same',
  async (t) => {
    const { run, fill, paths, context, asked } = await stepsWorld(t);
    await fill(paths.snapshot);
    await truncate(path.join(paths.snapshot, 'disk'), LARGER_MB * MB);
    await run('cloneSnapshot', larger(context));
    await run('wakeGuest', larger(context));
    t.match(asked, [`grow disk to ${LARGER_MB}`]);
  },
);
