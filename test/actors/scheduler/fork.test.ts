import t, { type Test } from 'tap';
import type { SandboxView } from '../../../src/actors/sandbox/protocol.ts';
import type { ScheduleFork } from '../../../src/actors/scheduler/protocol.ts';
import { catalogue, type ErrorCode } from '../../../src/errors/index.ts';
import { DEFAULT_TEAM_ID, sandboxIdForKey } from '../../../src/ids.ts';
import { exampleView } from '../../support/bus.ts';
import { context, type SchedulerWorld, startWorld, type WorldOptions } from './world.ts';

/** A world with a sandbox in it. */
function startWithSandbox(t: Test, options: WorldOptions = {}): SchedulerWorld & { original: SandboxView } {
  const world = startWorld(t, options);
  const original = exampleView({
    id: 'sb-aaaaaaaaaaaaaaaaaaaa',
    team_id: DEFAULT_TEAM_ID,
    host_id: 'h-keeper',
    vcpus: 3,
    memory_mb: 700,
    disk_size_mb: 30_000,
    timeout_s: 60,
    metadata: { a: 'b' },
    seq: 9,
  });
  world.record(original);
  return { ...world, original };
}
const request = (changes: Partial<ScheduleFork> = {}): ScheduleFork => ({
  team_id: DEFAULT_TEAM_ID,
  sandbox_id: 'sb-aaaaaaaaaaaaaaaaaaaa',
  count: 3,
  ...changes,
});
const forksIn = ({ claims }: SchedulerWorld): SandboxView[] =>
  [...claims.values()].map(({ view }) => view).filter(({ id }) => id !== 'sb-aaaaaaaaaaaaaaaaaaaa');

t.test('the records are written before the host is asked, as what the forks take', async (t) => {
  const world = startWithSandbox(t);
  const { sandboxes } = await world.scheduler.fork(request(), context);
  t.equal(sandboxes.length, 3);
  for (const { state } of sandboxes) t.equal(state, 'running');
  t.equal(forksIn(world).length, 3);
  for (const view of forksIn(world))
    t.match(view, {
      state: 'creating',
      host_id: 'h-keeper',
      vcpus: 3,
      memory_mb: 700,
      disk_size_mb: 30_000,
      timeout_s: 60,
      metadata: { a: 'b' },
      seq: 0,
      execution: 1,
      expires_at: null,
    });
  t.same(world.forked, [{ sandbox: 'sb-aaaaaaaaaaaaaaaaaaaa', ids: sandboxes.map(({ id }) => id) }]);
  await world.scheduler.fork(request(), context);
  t.equal(forksIn(world).length, 6, 'without a key they are others each time');
});

t.test('a sandbox that is not there, or no more, or of another team', async (t) => {
  const world = startWithSandbox(t);
  const fork = (changes: Partial<ScheduleFork>) => world.scheduler.fork(request(changes), context);
  await t.rejects(fork({ sandbox_id: 'sb-bbbbbbbbbbbbbbbbbbbb' }), { code: 'SANDBOX_NOT_FOUND' });
  await t.rejects(fork({ team_id: '00000000-0000-4000-8000-000000000002' }), { code: 'SANDBOX_NOT_FOUND' });
  for (const state of ['destroyed', 'failed'] as const) {
    world.record({ ...world.original, state });
    await t.rejects(fork({}), { code: 'SANDBOX_NOT_FOUND' });
    await t.rejects(fork({ idempotency_key: 'k' }), { code: 'SANDBOX_NOT_FOUND' });
  }
  t.same(world.forked, []);
  t.same(forksIn(world), []);
});

t.test('the quota is asked for all of them', async (t) => {
  const world = startWithSandbox(t, { quota: 2 });
  await t.rejects(world.scheduler.fork(request(), context), { code: 'QUOTA_EXCEEDED' });
  t.same(forksIn(world), []);
  t.same(world.forked, []);
  t.equal((await world.scheduler.fork(request({ count: 2 }), context)).sandboxes.length, 2);
});

t.test('with a key: the same request again is the same forks', async (t) => {
  const world = startWithSandbox(t, { quota: 3 });
  const wanted = request({ idempotency_key: 'k' });
  const first = await world.scheduler.fork(wanted, context);
  const second = await world.scheduler.fork(wanted, context);
  t.same(second, first, 'while they are on their way their host is asked, which knows them');
  t.same(world.forked[1], world.forked[0]);
  for (const view of first.sandboxes) world.record({ ...view, state: 'paused' });
  const third = await world.scheduler.fork(wanted, context);
  t.same(
    third.sandboxes.map(({ id, state }) => `${id} ${state}`),
    first.sandboxes.map(({ id }) => `${id} paused`),
  );
  t.equal(world.forked.length, 2, 'later the records are the answer');

  world.record({ ...world.original, state: 'destroyed' });
  t.same(await world.scheduler.fork(wanted, context), third, 'also when the original is no more');
  const [one] = third.sandboxes;
  if (one) world.record({ ...one, state: 'destroyed' });
  t.match((await world.scheduler.fork(wanted, context)).sandboxes[0], { state: 'destroyed' });
  t.same(world.unclaimed, []);
});

t.test('the same key with another request is refused', async (t) => {
  const world = startWithSandbox(t);
  const wanted = request({ idempotency_key: 'k' });
  await world.scheduler.fork(wanted, context);
  const another = { ...world.original, id: 'sb-cccccccccccccccccccc' };
  world.record(another);
  for (const changes of [{ count: 2 }, { count: 4 }, { sandbox_id: another.id }])
    await t.rejects(world.scheduler.fork({ ...wanted, ...changes }, context), {
      code: 'IDEMPOTENCY_KEY_REUSED',
    });
  t.equal(world.forked.length, 1);
});

t.test('keys of forks and of creates never meet', async (t) => {
  const world = startWithSandbox(t);
  const { sandboxes } = await world.scheduler.fork(request({ idempotency_key: 'k' }), context);
  const ids = sandboxes.map(({ id }) => id);
  t.equal(new Set(ids).size, 3);
  for (const key of ['k', 'k0', 'k#0', 'kfork0'])
    t.notOk(ids.includes(sandboxIdForKey(DEFAULT_TEAM_ID, key)));
});

t.test('what is over gives its share back; what may go on keeps it', async (t) => {
  const goesOn: ErrorCode[] = ['DEADLINE_EXCEEDED', 'CANCELLED', 'BUS_UNAVAILABLE', 'BAD_REPLY', 'INTERNAL'];
  for (const code of Object.keys(catalogue) as ErrorCode[]) {
    const world = startWithSandbox(t, { fork: code, kept: 3 });
    await t.rejects(world.scheduler.fork(request(), context), { code, detail: `the host says ${code}` });
    t.equal(forksIn(world).length, goesOn.includes(code) ? 3 : 0, code);
  }
});

t.test('one that was given up: claims of what the host does not keep are taken back', async (t) => {
  const cases: Array<[WorldOptions['kept'], Partial<ScheduleFork>, number]> = [
    [0, {}, 0],
    // The others were not begun when it was cancelled.
    [2, {}, 2],
    [3, {}, 3],
    // Which had begun is not known, so the records stay until it is.
    ['HOST_UNREACHABLE', {}, 3],
    // Whoever has the key may ask again, and gets these.
    [0, { idempotency_key: 'k' }, 3],
  ];
  for (const [kept, changes, left] of cases) {
    const world = startWithSandbox(t, { fork: 'CANCELLED', kept });
    await t.rejects(world.scheduler.fork(request(changes), context), { code: 'CANCELLED' });
    t.same(
      forksIn(world).map(({ id }) => id),
      world.forked[0]?.ids.slice(0, left),
      `${kept} ${JSON.stringify(changes)}`,
    );
  }
});

t.test('a repeated one does not take back what the first one waits for', async (t) => {
  const options: WorldOptions = {};
  const world = startWithSandbox(t, options);
  const wanted = request({ idempotency_key: 'k' });
  await world.scheduler.fork(wanted, context);
  options.fork = 'MAILBOX_FULL';
  await t.rejects(world.scheduler.fork(wanted, context), { code: 'MAILBOX_FULL' });
  t.equal(forksIn(world).length, 3);
  t.same(world.unclaimed, []);
});

t.test('one that failed is answered with its failure again, not done again', async (t) => {
  const world = startWithSandbox(t);
  const wanted = request({ idempotency_key: 'k' });
  const { sandboxes } = await world.scheduler.fork(wanted, context);
  const [one, two] = sandboxes;
  if (!one || !two) throw new Error('there are three');
  world.record({ ...one, state: 'destroyed' });
  world.record({
    ...two,
    state: 'failed',
    last_error: { code: 'GUEST_UNREACHABLE', detail: 'It was silent.' },
  });
  await t.rejects(world.scheduler.fork(wanted, context), {
    code: 'GUEST_UNREACHABLE',
    detail: 'It was silent.',
    data: { sandbox_id: two.id },
  });
  t.equal(world.forked.length, 1);
});

t.test('what is left of one that failed is destroyed before that is answered', async (t) => {
  // Its host died in the middle. Found by the simulation: "forks", an agent killed as the first of two forks ran.
  const last_error = { code: 'SNAPSHOT_INVALID', detail: 'The copy is gone.' };
  const start = async (error: { code: string; detail: string }) => {
    const world = startWithSandbox(t);
    const wanted = request({ idempotency_key: 'k' });
    const [one, two] = (await world.scheduler.fork(wanted, context)).sandboxes;
    if (!one || !two) throw new Error('there are three');
    world.record(one);
    world.record({ ...two, state: 'failed', last_error: error });
    const answered = t.rejects(world.scheduler.fork(wanted, context), { code: error.code });
    for (let turn = 0; turn < 5; turn += 1) {
      await new Promise(setImmediate);
      world.clock.advance(200);
    }
    await answered;
    return { world, one };
  };
  const { world, one } = await start(last_error);
  t.same(world.destroyed, [one.id], 'the one that runs; the third was never begun');
  const lost = await start({ code: 'SANDBOX_LOST', detail: 'Its host lost it later.' });
  t.same(lost.world.destroyed, [], 'one that was lost after it ran takes no other one along');
});

t.test('one that was destroyed in part, while the rest was never begun, is not done again', async (t) => {
  const world = startWithSandbox(t, { fork: 'DISK_FULL' });
  const wanted = request({ idempotency_key: 'k' });
  await t.rejects(world.scheduler.fork(wanted, context), { code: 'DISK_FULL' });
  // Its host had made one of them, of which the events come late.
  const id = world.forked[0]?.ids[1] ?? '';
  world.record({ ...world.original, id, state: 'destroyed' });
  await t.rejects(world.scheduler.fork(wanted, context), {
    code: 'STEP_FAILED',
    data: { sandbox_id: id },
  });
  t.equal(world.forked.length, 1);
  t.same(
    forksIn(world).map((view) => view.id),
    [id],
    'and nothing of it is counted',
  );
});

t.test('one whose failure is being undone is waited for', async (t) => {
  const world = startWithSandbox(t);
  const wanted = request({ idempotency_key: 'k', count: 1 });
  const { sandboxes } = await world.scheduler.fork(wanted, context);
  const [one] = sandboxes;
  if (!one) throw new Error('there is one');
  const last_error = { code: 'VMM_FAILED', detail: 'It broke.' };
  world.record({ ...one, state: 'undoing', last_error });
  const answered = t.rejects(world.scheduler.fork(wanted, context), { code: 'VMM_FAILED' });
  for (let turn = 0; turn < 5; turn += 1) {
    await new Promise(setImmediate);
    if (turn === 3) world.record({ ...one, state: 'failed', last_error });
    world.clock.advance(200);
  }
  await answered;
  world.record({ ...one, state: 'undoing', last_error });
  await t.rejects(world.scheduler.fork(wanted, { ...context, deadlineMs: world.clock.nowMs() }), {
    code: 'DEADLINE_EXCEEDED',
  });
});
