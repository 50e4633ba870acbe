import { jetstreamManager } from '@nats-io/jetstream';
import { connect } from '@nats-io/transport-node';
import t, { type Test } from 'tap';
import { newSandboxId } from '../../src/ids.ts';
import { connectTestBus, exampleTransition, exampleView } from '../support/bus.ts';
import { startTestNats, until } from '../support/nats.ts';

const STREAM = 'DORMOUSE_EVENTS';
const team = (): string => crypto.randomUUID();

async function world(t: Test) {
  const server = await startTestNats(t);
  const bus = await connectTestBus(t, server.url);
  const raw = await connect({ servers: server.url });
  t.teardown(() => raw.close());
  return { server, bus, raw, jsm: await jetstreamManager(raw) };
}

t.test('whoever follows gets the events of its team, in order, from where it was', async (t) => {
  const { bus, raw, jsm } = await world(t);
  const [mine, theirs] = [exampleView({ team_id: team() }), exampleView({ team_id: team() })];
  const stop = new AbortController();
  const seen: Array<[seq: number, streamSeq: number]> = [];
  const following = bus.events.follow(
    mine.team_id,
    0,
    async ({ transition, streamSeq }) => {
      t.equal(transition.team_id, mine.team_id);
      seen.push([transition.seq, streamSeq]);
    },
    stop.signal,
  );
  // The stream is made by the first event.
  for (const [view, seq] of [
    [mine, 1],
    [theirs, 1],
    [mine, 2],
  ] as const)
    await bus.events.append(exampleTransition(view, seq));
  await until(() => seen.length === 2, 'both are seen');
  raw.publish(`dormouse.event.sandbox.${mine.team_id}.x.running`, 'nonsense');
  await raw.flush();
  await bus.events.append(exampleTransition(mine, 3));
  await until(() => seen.length === 3, 'what is no event is skipped');
  t.same(seen, [
    [1, 1],
    [2, 3],
    [3, 5],
  ]);
  stop.abort();
  t.equal(await following, true);
  t.same((await jsm.consumers.list(STREAM).next()).length, 0, 'nothing is left at the server');

  const again: number[] = [];
  const end = new AbortController();
  const resumed = bus.events.follow(
    mine.team_id,
    3,
    async ({ transition }) => {
      again.push(transition.seq);
      end.abort();
    },
    end.signal,
  );
  await resumed;
  t.same(again, [3]);
});

t.test('nobody is ahead of who is slow: the server keeps what was not asked for', async (t) => {
  const { bus, jsm } = await world(t);
  const view = exampleView({ team_id: team() });
  for (let seq = 1; seq <= 600; seq++) await bus.events.append(exampleTransition(view, seq));
  const stop = new AbortController();
  const goOn = Promise.withResolvers<void>();
  const seen: number[] = [];
  const following = bus.events.follow(
    view.team_id,
    0,
    async ({ transition }) => {
      seen.push(transition.seq);
      if (transition.seq === 1) await goOn.promise;
    },
    stop.signal,
  );
  await until(async () => {
    const [consumer] = await jsm.consumers.list(STREAM).next();
    return (consumer?.delivered.consumer_seq ?? 0) >= 200;
  }, 'a number of them is on its way');
  const [consumer] = await jsm.consumers.list(STREAM).next();
  t.ok((consumer?.num_pending ?? 0) >= 200, `${consumer?.num_pending} wait at the server`);
  t.same(seen, [1]);
  goOn.resolve();
  await until(() => seen.length === 600, 'all come');
  t.same(
    seen,
    Array.from({ length: 600 }, (_, index) => index + 1),
  );
  stop.abort();
  await following;
});

t.test('it survives a server that goes and comes back, without a gap', async (t) => {
  const { server, bus } = await world(t);
  const view = exampleView({ team_id: team() });
  await bus.events.append(exampleTransition(view, 1));
  const stop = new AbortController();
  const seen: number[] = [];
  const following = bus.events.follow(
    view.team_id,
    0,
    async ({ transition }) => void seen.push(transition.seq),
    stop.signal,
  );
  await until(() => seen.length === 1, 'it follows');
  await server.kill();
  await until(() => bus.status() !== 'connected', 'the server is gone');
  await t.rejects(bus.events.handled('projector'), { code: 'BUS_UNAVAILABLE' });
  await server.start();
  await until(() => bus.status() === 'connected', 'it is back');
  for (const seq of [2, 3])
    await until(
      () =>
        bus.events.append(exampleTransition(view, seq)).then(
          () => true,
          () => false,
        ),
      'the event is stored',
    );
  await until(() => seen.includes(3), 'they are seen');
  t.same(seen, [1, 2, 3]);
  stop.abort();
  await following;
});

t.test('what the stream has no longer is told; so is a number that it never had', async (t) => {
  const { bus, jsm } = await world(t);
  const view = exampleView({ team_id: team() });
  for (const seq of [1, 2, 3]) await bus.events.append(exampleTransition(view, seq));
  await jsm.streams.purge(STREAM, { seq: 3 });
  const follow = (after: number, signal = AbortSignal.abort()) =>
    bus.events.follow(view.team_id, after, async () => {}, signal);
  const open = () => new AbortController().signal;
  t.equal(await follow(1, open()), false, 'the second one is gone');
  t.equal(await follow(4, open()), false, 'there was never a fourth one');
  t.equal(await follow(1), true, 'nobody waits for it');
  const stop = new AbortController();
  const seen: number[] = [];
  const following = bus.events.follow(
    view.team_id,
    2,
    async ({ transition }) => void seen.push(transition.seq),
    stop.signal,
  );
  await until(() => seen.length === 1, 'from the first one that is there');
  stop.abort();
  t.equal(await following, true);
});

t.test('how far a durable consumer is', async (t) => {
  const { bus, jsm } = await world(t);
  t.equal(await bus.events.handled('reader'), 0, 'there is no stream');
  const view = exampleView({ id: newSandboxId() });
  await bus.events.append(exampleTransition(view, 1));
  t.equal(await bus.events.handled('reader'), 0, 'there is no consumer');
  const stop = new AbortController();
  const goOn = Promise.withResolvers<void>();
  let at = 0;
  const consuming = bus.events.consume(
    'reader',
    async ({ streamSeq, ack }) => {
      at = streamSeq;
      if (streamSeq === 3) await goOn.promise;
      await ack();
    },
    stop.signal,
  );
  for (const seq of [2, 3]) await bus.events.append(exampleTransition(view, seq));
  await until(() => at === 3, 'the third one is at work');
  t.equal(await bus.events.handled('reader'), 2, 'what is at work is not done');
  goOn.resolve();
  await until(async () => (await bus.events.handled('reader')) === 3, 'done');
  stop.abort();
  await consuming;
  for (const seq of [4, 5]) await bus.events.append(exampleTransition(view, seq));
  await jsm.streams.update(STREAM, { max_msgs: 1 });
  t.equal(await bus.events.handled('reader'), 4, 'what was dropped comes to nobody');
});
