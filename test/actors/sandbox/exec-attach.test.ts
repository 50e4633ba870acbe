import t from 'tap';
import { DormouseError } from '../../../src/errors/index.ts';
import { gate } from '../../support/gate.ts';
import { idle, reached, sandboxWorld, turn } from '../system/sandbox-world.ts';

/** Who waits for a program, and attaches to it again and again. */

/** What each connection to the guest comes to, a turn later: it is taken and cut. */
const hangsUp = {
  // biome-ignore lint/suspicious/noThenProperty: each connection waits for it anew.
  then: (_resolve: unknown, reject: (error: unknown) => void) =>
    void setImmediate(() => reject(new DormouseError('EXEC_INTERRUPTED', 'cut'))),
} as unknown as Promise<never>;

async function turns(): Promise<void> {
  for (let round = 0; round < 20; round += 1) await turn();
}

t.test('a guest that hangs up at once is asked ever more rarely, until the caller goes', async (t) => {
  const { create, clock, context, guest } = await sandboxWorld(t);
  const sandbox = await create({});
  guest.until = hangsUp;
  const caller = new AbortController();
  const exec = sandbox.exec({ cmd: 'x' }, context({ signal: caller.signal }));
  exec.catch(() => {});
  const waits: number[] = [];
  for (let run = 1; run <= 8; run += 1) {
    await turns();
    t.equal(guest.runs, run, 'once each time');
    const [wait = 0] = clock.armed();
    waits.push(wait);
    clock.advance(wait);
  }
  t.same(waits, [50, 100, 200, 400, 800, 1000, 1000, 1000]);
  await turns();
  caller.abort(new DormouseError('CANCELLED', 'gone'));
  await t.rejects(exec, { code: 'CANCELLED' });
  await turns();
  t.equal(guest.runs, 9, 'and not again');
});

for (const [before, after] of [
  [0, 10],
  [100, 10],
  [10, 100],
] as const)
  t.test(
    `a time that a ping changes from ${before} to ${after} s does not run out under a program`,
    async (t) => {
      const { create, clock, context, guest } = await sandboxWorld(t);
      const sandbox = await create({ timeout_s: before });
      const running = gate();
      guest.until = running.passed;
      const exec = sandbox.exec({ cmd: 'x' }, context());
      await turns();
      clock.advance(1_000);
      await sandbox.command('ping', { timeout_s: after }, context());
      await turns();
      for (let elapsedS = 0; elapsedS < 3 * after; elapsedS += after / 4) {
        clock.advance(after * 250);
        await idle(sandbox);
        t.equal(sandbox.actor.state, 'running', `after ${elapsedS} s`);
      }
      running.open();
      await exec;
      clock.advance(after * 1_000);
      await reached(sandbox, 'paused');
    },
  );

t.test('a program in a sandbox without a time writes no journal', async (t) => {
  const { create, clock, context, guest } = await sandboxWorld(t);
  let writes = 0;
  const sandbox = await create({ timeout_s: 0 }, (journal) => ({
    load: () => journal.load(),
    async save(record, durable) {
      writes += 1;
      await journal.save(record, durable);
    },
  }));
  await idle(sandbox);
  const before = writes;
  const running = gate();
  guest.until = running.passed;
  const exec = sandbox.exec({ cmd: 'x' }, context());
  for (let minute = 0; minute < 4; minute += 1) {
    clock.advance(60_000);
    await idle(sandbox);
  }
  running.open();
  await exec;
  t.equal(writes, before);
});
