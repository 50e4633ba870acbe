import t from 'tap';
import { DormouseError } from '../../../../src/errors/index.ts';
import { contentsOf, stepsWorld } from './world.ts';

t.test('what has no machine asks for room before anything is done for one', async (t) => {
  const { run, fill, paths, hooks, context } = await stepsWorld(t);
  await fill(paths.snapshot);
  const before = await contentsOf(paths.snapshot);
  hooks.checkRoom = ({ id }) => {
    t.equal(id, context.id);
    throw new DormouseError('NO_HOST_AVAILABLE', 'full');
  };
  const resting = { slot: null, vm: null, diskPath: null };
  for (const step of ['cloneSnapshot', 'forgetMemory', 'stopVm'] as const)
    await t.rejects(run(step, resting), { code: 'NO_HOST_AVAILABLE' }, step);
  t.same(await contentsOf(paths.snapshot), before, 'the memory is not given up');
  t.equal(await contentsOf(paths.live), undefined);
});

t.test('a machine that runs has its room, whatever the host says now', async (t) => {
  const { run, hooks, asked } = await stepsWorld(t);
  hooks.checkRoom = () => {
    throw new DormouseError('NO_HOST_AVAILABLE', 'full');
  };
  t.same(await run('stopVm'), { vm: null });
  t.same(asked, ['stop']);
});
