import t, { type Test } from 'tap';
import { newSandboxId } from '../../../src/ids.ts';
import { atRest } from '../../support/host-process.ts';
import { changesSomething, hostLab, SHAPE } from '../host-lab.ts';

/**
 * A caller goes away at every point of every operation. Undo and clean-up run to their end: the sandbox comes to rest, and
 * no device, loop or file stays behind.
 */

const lab = await hostLab(t);

/** The points that an operation passes, each once, at which something was done. */
async function pointsOf(run: () => Promise<unknown>): Promise<string[]> {
  await lab.disarm();
  await run();
  const passed = await lab.host().ask<string[]>('passed');
  return [...new Set(passed)].filter(changesSomething);
}

t.test('in the middle of a pause and of a resume', async (t) => {
  const id = await lab.sandbox(t);
  const run = {
    pause: (): Promise<unknown> => lab.host().command(id, 'pause'),
    resume: (): Promise<unknown> => lab.host().command(id, 'resume'),
  };
  const points = { pause: await pointsOf(run.pause), resume: await pointsOf(run.resume) };
  const ends: Record<string, number> = {};
  for (const operation of ['pause', 'resume'] as const) {
    t.ok(points[operation].length > 10, `${operation} has ${points[operation].length} points`);
    for (const point of points[operation]) {
      await inState(t, id, operation === 'pause' ? 'running' : 'paused');
      await lab.arm({ point, action: 'cancel' });
      const answer = await run[operation]().then(
        () => 'done',
        (error: { code: string }) => error.code,
      );
      await lab.disarm();
      const view = await lab.host().until(id, atRest);
      const end = `${operation}: ${answer}, ${view?.state}`;
      ends[end] = (ends[end] ?? 0) + 1;
      t.match(view?.state, /^(running|paused)$/, `${operation}, ${point}: ${answer}, ${view?.state}`);
      t.same(await lab.disagreements(), []);
    }
  }
  t.comment(ends);
  t.ok(ends['pause: CANCELLED, running'], 'a pause was rolled back');
  t.ok(ends['resume: CANCELLED, paused'], 'a resume was rolled back');
  await inState(t, id, 'running');
});

/** Makes sure of the state, and that the disk is what it was. */
async function inState(t: Test, id: string, state: 'running' | 'paused'): Promise<void> {
  const view = await lab.host().view(id);
  if (view?.state === 'paused' && state === 'running') await lab.host().command(id, 'resume');
  if (view?.state === 'running' || state === 'running') t.equal(await lab.written(id), 'kept');
  if (view?.state === 'running' && state === 'paused') await lab.host().command(id, 'pause');
}

t.test('in the middle of a create and of a destroy', async (t) => {
  const create = async (): Promise<string> => {
    const id = newSandboxId();
    made.push(id);
    await lab.host().ask('create', { id, ...SHAPE });
    return id;
  };
  const made: string[] = [];
  const destroy = (): Promise<unknown> => lab.host().command(made.at(-1) ?? '', 'destroy');
  const points = { create: await pointsOf(create), destroy: await pointsOf(destroy) };
  for (const point of points.create) {
    await lab.arm({ point, action: 'cancel' });
    await create().catch(() => {});
    await lab.disarm();
    const id = made.at(-1) ?? '';
    const view = await lab.host().until(id, atRest);
    t.match(view?.state ?? 'gone', /^(running|gone)$/, `create, ${point}: ${view?.state ?? 'gone'}`);
    t.same(await lab.disagreements(), []);
    if (view) await destroy();
  }
  for (const point of points.destroy) {
    await create();
    await lab.arm({ point, action: 'cancel' });
    await destroy().catch(() => {});
    await lab.disarm();
    await lab.host().until(made.at(-1) ?? '', (view) => view === null);
    t.same(await lab.disagreements(), [], `destroy, ${point}: nothing is left`);
  }
});
