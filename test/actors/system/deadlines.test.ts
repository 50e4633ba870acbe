import t from 'tap';
import type { SandboxContext } from '../../../src/actors/sandbox/context.ts';
import { DormouseError } from '../../../src/errors/index.ts';
import { gate } from '../../support/gate.ts';
import { holding, idle, reached, sandboxWorld, turn } from './sandbox-world.ts';

/** Time that a sandbox has, and time that a command has. */

const ENDS = [
  ['pause', 'paused'],
  ['destroy', 'destroyed'],
] as const;

for (const [on_timeout, end] of ENDS) {
  t.test(`a time that runs out: ${on_timeout}`, async (t) => {
    const { clock, create } = await sandboxWorld(t);
    const sandbox = await create({ timeout_s: 10, on_timeout });
    t.equal(sandbox.context.expiresAtMs, clock.nowMs() + 10_000);
    clock.advance(9_999);
    await idle(sandbox);
    t.equal(sandbox.actor.state, 'running', 'not before');
    clock.advance(1);
    await reached(sandbox, end);
    t.equal(sandbox.context.expiresAtMs, null);
  });

  t.test(`a time that runs out while no agent lives: ${on_timeout} at the next start`, async (t) => {
    const { create, afterDeath } = await sandboxWorld(t);
    const sandbox = await create({ timeout_s: 10, on_timeout });
    await reached(await afterDeath(sandbox, 3_600_000), end);
  });

  t.test(`a time that has not run out yet goes on where it was: ${on_timeout}`, async (t) => {
    const { clock, create, afterDeath } = await sandboxWorld(t);
    const sandbox = await create({ timeout_s: 10, on_timeout });
    const { expiresAtMs } = sandbox.context;
    let next = await afterDeath(sandbox, 4_000);
    next = await afterDeath(next, 4_000);
    t.equal(next.context.expiresAtMs, expiresAtMs, 'a start is no activity');
    clock.advance(1_999);
    await idle(next);
    t.equal(next.actor.state, 'running');
    clock.advance(1);
    await reached(next, end);
  });
}

t.test('a ping begins the time anew, also for the next agent', async (t) => {
  const { clock, create, afterDeath, context } = await sandboxWorld(t);
  const sandbox = await create({ timeout_s: 10 });
  clock.advance(8_000);
  t.match(await sandbox.command('ping', {}, context()), { state: 'running', timeout_s: 10 });
  clock.advance(8_000);
  await idle(sandbox);
  t.equal(sandbox.actor.state, 'running', 'the first time is forgotten');
  const next = await afterDeath(sandbox, 1_999);
  await idle(next);
  t.equal(next.actor.state, 'running');
  clock.advance(1);
  await reached(next, 'paused');
});

t.test('a ping changes the time, and takes it away', async (t) => {
  const { clock, create, afterDeath, context } = await sandboxWorld(t);
  const sandbox = await create({ timeout_s: 10 });
  await sandbox.command('ping', { timeout_s: 100 }, context());
  const next = await afterDeath(sandbox, 99_000);
  t.equal(next.actor.state, 'running');
  t.equal(next.context.expiresAtMs, clock.nowMs() + 1_000);
  t.match(await next.command('ping', { timeout_s: 0 }, context()), { expires_at: null });
  const last = await afterDeath(next, 365 * 24 * 3_600_000);
  await idle(last);
  t.equal(last.actor.state, 'running');
  await last.command('ping', { timeout_s: 1 }, context());
  clock.advance(1_000);
  await reached(last, 'paused');
});

t.test('an exec begins the time anew, again and again while it runs, and not after it', async (t) => {
  const { clock, create, afterDeath, context, guest } = await sandboxWorld(t);
  const sandbox = await create({ timeout_s: 10 });
  clock.advance(9_000);
  const running = gate();
  guest.until = running.passed;
  const exec = sandbox.exec({ argv: ['/bin/true'] }, context());
  while (guest.runs === 0) await turn();
  for (let round = 0; round < 10; round += 1) {
    clock.advance(5_000);
    await idle(sandbox);
  }
  t.equal(sandbox.actor.state, 'running', 'for 50 s');
  running.open();
  await exec;
  t.equal(sandbox.context.expiresAtMs, clock.nowMs() + 10_000);
  const next = await afterDeath(sandbox, 9_999);
  await idle(next);
  t.equal(next.actor.state, 'running', 'the journal has it');
  clock.advance(1);
  await reached(next, 'paused');
  t.equal(guest.runs, 1);
});

t.test('a resume and a restart begin the time anew; a paused sandbox has none', async (t) => {
  const { clock, create, afterDeath, context } = await sandboxWorld(t);
  const sandbox = await create({ timeout_s: 10, on_timeout: 'destroy' });
  await sandbox.command('pause', {}, context());
  const paused = await afterDeath(sandbox, 3_600_000);
  await idle(paused);
  t.equal(paused.actor.state, 'paused');
  t.match(await paused.command('resume', {}, context()), {
    state: 'running',
    expires_at: new Date(clock.nowMs() + 10_000).toISOString(),
  });
  clock.advance(9_000);
  await paused.command('restart', {}, context());
  clock.advance(9_000);
  await idle(paused);
  t.equal(paused.actor.state, 'running');
  clock.advance(1_000);
  await reached(paused, 'destroyed');
});

t.test('a pause by timeout that fails is tried again a minute later, also by the next agent', async (t) => {
  const { clock, create, afterDeath, machine } = await sandboxWorld(t);
  const sandbox = await create({ timeout_s: 10 });
  machine.failsToFreeze = true;
  clock.advance(10_000);
  while (sandbox.actor.record.seq < 8 || sandbox.actor.state !== 'running') await turn();
  t.equal(sandbox.context.expiresAtMs, clock.nowMs() + 60_000);
  t.match(sandbox.view(), { last_error: { detail: 'freezeVcpus failed.' } });
  machine.failsToFreeze = false;
  const next = await afterDeath(sandbox, 59_999);
  await idle(next);
  t.equal(next.actor.state, 'running');
  clock.advance(1);
  await reached(next, 'paused');
});

t.test(
  'a time that ran out while the virtual machine ended: crashed when it was to be paused, else destroyed',
  async (t) => {
    const { create, afterDeath, machine } = await sandboxWorld(t);
    for (const on_timeout of ['pause', 'destroy'] as const) {
      machine.isThere = true;
      const sandbox = await create({ timeout_s: 10, on_timeout });
      machine.isThere = false;
      machine.failsToFreeze = true;
      const next = await afterDeath(sandbox, 20_000);
      await reached(next, on_timeout === 'pause' ? 'crashed.resting' : 'destroyed');
      machine.failsToFreeze = false;
    }
  },
);

t.test('a pause that was asked for just before the time ran out is done once', async (t) => {
  const { clock, create, context } = await sandboxWorld(t);
  const pausing = holding(({ value }) => JSON.stringify(value).includes('draining'));
  const sandbox = await create({ timeout_s: 10, on_timeout: 'destroy' }, pausing.wrap);
  const paused = sandbox.command('pause', {}, context());
  await pausing.held();
  // The timer fires while the pause is being written: its message comes to a state that has no such time any more.
  clock.advance(10_000);
  pausing.release();
  t.match(await paused, { state: 'paused' });
  await idle(sandbox);
  t.equal(sandbox.actor.state, 'paused', 'and not destroyed');
});

t.test('a command whose deadline passed while it waited for its turn is not begun', async (t) => {
  const { clock, create, context } = await sandboxWorld(t);
  const pinging = holding(({ context }) => (context as SandboxContext).options.timeout_s === 50);
  const sandbox = await create({ timeout_s: 100 }, pinging.wrap);
  const ping = sandbox.command('ping', { timeout_s: 50 }, context());
  await pinging.held();
  const late = sandbox.command('pause', {}, context({ deadlineMs: clock.nowMs() + 1_000 }));
  const inTime = sandbox.command('restart', {}, context({ deadlineMs: clock.nowMs() + 1_001 }));
  clock.advance(1_000);
  pinging.release();
  await ping;
  await t.rejects(late, { code: 'DEADLINE_EXCEEDED', detail: /before the command was begun/ });
  t.match(await inTime, { state: 'running', execution: 2 }, 'one that has a moment left is');
});

t.test('an exec whose deadline has passed is not begun in the guest', async (t) => {
  const { create, context, guest } = await sandboxWorld(t);
  const sandbox = await create({ timeout_s: 10 });
  const gone = AbortSignal.abort(new DormouseError('DEADLINE_EXCEEDED', 'The deadline passed.'));
  await t.rejects(sandbox.exec({ argv: ['/bin/true'] }, context({ signal: gone })), {
    code: 'DEADLINE_EXCEEDED',
  });
  t.equal(guest.runs, 0);
});
