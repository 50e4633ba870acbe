import { once } from 'node:events';
import t from 'tap';
import { Type } from 'typebox';
import type { SandboxTransition } from '../../src/actors/sandbox/protocol.ts';
import { defineCommand } from '../../src/actors/system/command.ts';
import { connectBus } from '../../src/bus/connect.ts';
import type { Bus, BusStatus } from '../../src/bus/types.ts';
import { systemClock } from '../../src/clock.ts';
import { connectTestBus, exampleTransition, exampleView, flushed } from '../support/bus.ts';
import { silentLog, startTestNats, until } from '../support/nats.ts';

const closed = { additionalProperties: false } as const;
const echo = defineCommand({
  name: 'echo',
  summary: 'Answers what it is given.',
  request: Type.Object({ n: Type.Integer(), hold: Type.Optional(Type.Boolean()) }, closed),
  reply: Type.Object({ n: Type.Integer() }, closed),
  defaultTimeoutMs: 30_000,
});

const connected = (bus: Bus) => (): boolean => bus.status() === 'connected';
const disconnected = (bus: Bus) => (): boolean => bus.status() === 'disconnected';

t.test('without a server', async (t) => {
  const refused = connectBus({ url: 'nats://127.0.0.1:1', name: 'test', clock: systemClock, log: silentLog });
  await t.rejects(refused, { code: 'BUS_UNAVAILABLE' });
  const notUrl = connectBus({ url: 'nats://:x:y', name: 'test', clock: systemClock, log: silentLog });
  await t.rejects(notUrl, { code: 'CONFIG_INVALID' });
});

t.test('the server is killed and comes back', async (t) => {
  const server = await startTestNats(t);
  const caller = await connectTestBus(t, server.url);
  const actor = await connectTestBus(t, server.url);
  const statuses: BusStatus[] = [];
  caller.onStatus((status) => statuses.push(status));
  const undone: BusStatus[] = [];
  caller.onStatus((status) => undone.push(status))();

  let begun = 0;
  const release = new AbortController();
  actor.serve('test.echo', echo, async (body) => {
    begun += 1;
    if (body.hold) await once(release.signal, 'abort');
    return { n: body.n };
  });
  await flushed(actor);
  t.same(await caller.request('test.echo', echo, { n: 1 }), { n: 1 });

  const atWork = caller.request('test.echo', echo, { n: 2, hold: true });
  await until(() => begun === 2, 'the command is at work');
  const startedAt = performance.now();
  const outcome = t.rejects(atWork, { code: 'BUS_UNAVAILABLE', detail: /may have been carried out/ });
  await server.kill();
  await outcome;
  t.ok(performance.now() - startedAt < 5_000, 'long before its deadline');
  await until(disconnected(caller), 'the caller notices');
  await until(disconnected(actor), 'the actor notices');

  await t.rejects(caller.request('test.echo', echo, { n: 3 }), {
    code: 'BUS_UNAVAILABLE',
    detail: /nothing was sent/,
  });
  const away = exampleTransition(exampleView(), 1);
  await t.rejects(caller.events.append(away), { code: 'BUS_UNAVAILABLE' });
  await t.rejects(caller.hosts.list(), { code: 'BUS_UNAVAILABLE' });
  caller.publish('test.nowhere', new Uint8Array(1));
  release.abort();

  await server.start();
  await until(connected(caller), 'the caller is back');
  await until(connected(actor), 'the actor is back');
  await flushed(actor);
  t.same(await caller.request('test.echo', echo, { n: 4 }), { n: 4 }, 'the subscription works again');
  t.equal(begun, 3, 'what was refused without a connection was never sent');
  await caller.events.append(away);
  t.same(await caller.hosts.list(), []);
  t.same(statuses, ['disconnected', 'connected']);
  t.same(undone, [], 'a listener that was taken back hears nothing');

  await server.stop();
  await until(disconnected(caller), 'stopped in order is noticed as well');
  await caller.drain();
  await actor.drain();
  t.same(statuses.slice(2), ['disconnected', 'closed'], 'a drain without a server ends');
});

t.test('events are neither lost nor out of order when the server is killed', async (t) => {
  const server = await startTestNats(t);
  const writer = await connectTestBus(t, server.url);
  const reader = await connectTestBus(t, server.url);
  const sandbox = exampleView();
  const events = 60;
  const stop = new AbortController();
  const handled: SandboxTransition[] = [];
  const consuming = reader.events.consume(
    'reader',
    async (event) => {
      handled.push(event.transition);
      await event.ack();
    },
    stop.signal,
  );

  /** What an outbox does: the same event until it is stored. */
  async function store(seq: number): Promise<void> {
    await until(
      () =>
        writer.events.append(exampleTransition(sandbox, seq)).then(
          () => true,
          (error) => {
            if (error.code !== 'BUS_UNAVAILABLE') throw error;
            return false;
          },
        ),
      `event ${seq} is stored`,
    );
  }
  for (let seq = 1; seq <= events; seq += 1) {
    await store(seq);
    if (seq % 20 === 0) {
      await server.kill();
      await until(disconnected(writer), 'the writer notices');
      await server.start();
    }
  }
  await until(() => handled.at(-1)?.seq === events, 'the last one is handled', 40_000);
  stop.abort();
  await consuming;

  // The server writes acknowledgements down a little later, so what was acknowledged just before it was killed comes
  // again. Dropping what was seen, as every consumer does, leaves each event exactly once and in order.
  let last = 0;
  for (const { seq } of handled) {
    if (seq > last) t.equal(seq, ++last, 'the next in order');
  }
  t.equal(last, events);
});
