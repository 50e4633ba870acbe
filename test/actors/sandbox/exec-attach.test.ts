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

t.test(
  'who joins a program goes on waiting when the first one gives up, and gives up by itself',
  async (t) => {
    const { create, context, guest } = await sandboxWorld(t);
    const sandbox = await create({});
    const connection = gate();
    guest.until = connection.passed;
    const callers = [0, 1, 2].map(() => new AbortController());
    const [first, second, third] = callers.map(({ signal }) =>
      sandbox.exec({ cmd: 'x' }, context({ commandId: 'same', signal })),
    );
    for (const exec of [first, second, third]) exec?.catch(() => {});
    await turns();
    t.equal(guest.runs, 1);
    callers[2]?.abort(new DormouseError('CANCELLED', 'the third'));
    await t.rejects(Promise.resolve(third), { code: 'CANCELLED', detail: 'the third' }, 'at once');
    callers[0]?.abort(new DormouseError('DEADLINE_EXCEEDED', 'the first'));
    guest.until = undefined;
    connection.fail(new DormouseError('EXEC_INTERRUPTED', 'cut'));
    await t.rejects(Promise.resolve(first), { code: 'DEADLINE_EXCEEDED', detail: 'the first' });
    t.match(await second, { exit_code: 0 });
    t.equal(guest.runs, 2, 'it attached anew');
  },
);

t.test('what a program failed with is told to all who joined', async (t) => {
  const { create, context, guest } = await sandboxWorld(t);
  const sandbox = await create({});
  const connection = gate();
  guest.until = connection.passed;
  const both = [0, 1].map(() => sandbox.exec({ cmd: 'x' }, context({ commandId: 'same' })));
  await turns();
  connection.fail(new DormouseError('EXEC_BAD_CWD', 'there is none'));
  for (const exec of both) await t.rejects(exec, { code: 'EXEC_BAD_CWD' });
  t.equal(guest.runs, 1);
});
