import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import t, { type Test } from 'tap';
import { eventually, http, run, type View } from '../../support/dormouse.ts';
import { monitorsIn, sandboxesIn } from '../../support/host-lab.ts';
import { until } from '../../support/nats.ts';
import { leaks, up } from './support.ts';

/**
 * Clients that hang up in the middle of a create, a pause or a resume, at random times. Without an `Idempotency-Key` the
 * command is undone or was done; with one it is done once, and the client that asks again gets its answer. In any case the
 * sandbox comes to rest and nothing leaks.
 */

t.setTimeout(600_000);

const seed = Number(process.env.DORMOUSE_TEST_SEED ?? Date.now() % 2 ** 31);
t.comment(`seed ${seed}; repeat with DORMOUSE_TEST_SEED`);
const random = generator(seed);
const ROUNDS = 8;
const AT_REST = /^(running|paused|crashed|destroyed|failed)$/;

const server = await up(t);

/** How long each command takes without a fault, in milliseconds: hang-ups are spread over somewhat more than that. */
const lasts = { create: 0, pause: 0, resume: 0 };
type Command = keyof typeof lasts;

const where = (command: Command, id: string): string =>
  command === 'create' ? '/sandboxes' : `/sandboxes/${id}/${command}`;
const body = (command: Command): object => (command === 'create' ? { template: 'minimal' } : {});

/** Sends a command and hangs up after a random time. Says whether the answer came before that. */
async function hangUp(command: Command, id: string, key?: string): Promise<string> {
  const caller = new AbortController();
  const afterMs = Math.round(random() * lasts[command] * 1.3);
  const answer = fetch(`${server.url}/v1${where(command, id)}`, {
    method: 'POST',
    headers: {
      'x-api-key': server.key,
      'content-type': 'application/json',
      ...(key && { 'idempotency-key': key }),
    },
    body: JSON.stringify(body(command)),
    signal: caller.signal,
  }).then(
    async (response) => `answered ${response.status}`,
    () => 'hung up',
  );
  await Promise.race([answer, sleep(afterMs)]);
  caller.abort();
  return `${command}, ${await answer} after ${afterMs} ms`;
}

/** How long a command of a client that has gone may be on its way to its actor, in milliseconds. */
const ON_ITS_WAY_MS = 250;

/** The only sandbox, or none, when nothing happens any more. Throws when there are several. */
async function only(): Promise<View | undefined> {
  for (let before = ''; ; await sleep(ON_ITS_WAY_MS)) {
    const ids = await sandboxesIn(server.dataDir);
    if (ids.length > 1) throw new Error(`there are ${ids}`);
    let view: View | undefined;
    if (ids[0] !== undefined)
      view = await eventually(server, ids[0], (now) => AT_REST.test(now.state) && now.step === null);
    const now = `${ids[0]} ${view?.state} ${view?.seq}`;
    if (now === before) return view;
    before = now;
  }
}

async function timed(command: Command, id = ''): Promise<View> {
  const began = performance.now();
  const answer = await http<View>(server, 'POST', where(command, id), body(command));
  lasts[command] = performance.now() - began;
  if (answer.status >= 300) throw new Error(JSON.stringify(answer.body));
  return answer.body;
}

/** Checks that the guest is the one that it was, and leaves the sandbox running. */
async function whole(t: Test, id: string, what: string): Promise<void> {
  const view = await only();
  if (view?.state === 'paused') await http(server, 'POST', `/sandboxes/${id}/resume`);
  t.equal(await run(server, id, 'cat /kept /run/kept'), 'on disk\nin memory', what);
}

t.test('how long it takes without a fault', async (t) => {
  const { id } = await timed('create');
  await timed('pause', id);
  await timed('resume', id);
  await http(server, 'DELETE', `/sandboxes/${id}`);
  t.comment(JSON.stringify(lasts));
});

for (const isKeyed of [false, true]) {
  t.test(`clients that hang up, ${isKeyed ? 'with' : 'without'} a key`, async (t) => {
    for (let round = 0; round < ROUNDS; round += 1) {
      const keyOf = (): string | undefined => (isKeyed ? `k-${randomUUID()}` : undefined);
      /** What the same client does next: with a key it asks again. */
      const again = async (command: Command, id: string, key: string, what: string): Promise<View> => {
        const answer = await http<View>(server, 'POST', where(command, id), body(command), {
          'idempotency-key': key,
        });
        t.ok(answer.status < 300, `${what}; asked again: ${answer.status} ${answer.body.code ?? ''}`);
        return answer.body;
      };

      const createKey = keyOf();
      const created = await hangUp('create', '', createKey);
      let view: View | undefined;
      if (createKey) {
        view = await again('create', '', createKey, created);
        t.equal((await only())?.id, view.id, 'there is one, and it is that one');
      } else {
        view = await only();
        t.equal(
          (await monitorsIn(server.dataDir)).length,
          view ? 1 : 0,
          `${created}: ${view?.state ?? 'none'}`,
        );
        view ??= await timed('create');
      }
      const { id } = view;
      await run(server, id, 'echo on disk > /kept; echo in memory > /run/kept');

      for (const command of ['pause', 'resume'] as const) {
        if (command === 'resume' && (await only())?.state === 'running') await timed('pause', id);
        const key = keyOf();
        const done = await hangUp(command, id, key);
        if (key) {
          const { state } = await again(command, id, key, done);
          t.equal(state, command === 'pause' ? 'paused' : 'running', done);
        }
        const rest = await only();
        t.match(rest?.state, /^(running|paused)$/, `${done}: ${rest?.state}`);
        if (command === 'resume') await whole(t, id, done);
      }
      t.equal((await http<View>(server, 'DELETE', `/sandboxes/${id}`)).body.state, 'destroyed');
      t.equal(await only(), undefined);
    }
    t.same(await leaks(server), [], 'nothing leaks');
    await until(async () => {
      const { body: page } = await http<{ sandboxes: View[] }>(server, 'GET', '/sandboxes');
      return page.sandboxes.length === 0;
    }, 'nor does the list show one');
    t.same(await monitorsIn(server.dataDir), [], 'no machine runs');
  });
}

/** Numbers from 0 to 1 that a seed determines (mulberry32). */
function generator(start: number): () => number {
  let state = start;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
