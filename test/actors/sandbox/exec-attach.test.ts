import t from 'tap';
import { DormouseError } from '../../../src/errors/index.ts';
import { sandboxWorld, turn } from '../system/sandbox-world.ts';

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
