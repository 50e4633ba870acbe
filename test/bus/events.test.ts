import { jetstreamManager } from '@nats-io/jetstream';
import { connect } from '@nats-io/transport-node';
import t from 'tap';
import { connectTestBus, exampleTransition, exampleView } from '../support/bus.ts';
import { startTestNats, until } from '../support/nats.ts';

t.test('the stream of events', async (t) => {
  const server = await startTestNats(t);
  const bus = await connectTestBus(t, server.url);
  const raw = await connect({ servers: server.url });
  t.teardown(() => raw.close());
  const jsm = await jetstreamManager(raw);
  const sandbox = exampleView();

  await t.test('an event is stored once, however often it is sent', async (t) => {
    for (const seq of [1, 1, 2, 1, 2]) await bus.events.append(exampleTransition(sandbox, seq));
    const info = await jsm.streams.info('DORMOUSE_EVENTS', { subjects_filter: '>' });
    t.equal(info.state.messages, 2);
    t.same(Object.keys(info.state.subjects ?? {}), [
      `dormouse.event.sandbox.${sandbox.team_id}.${sandbox.id}.running`,
    ]);
    t.match(info.config, { storage: 'file', discard: 'old', max_bytes: 1024 ** 3, max_age: 30 * 86_400e9 });
  });

  await t.test('one that the stream can never take says so', async (t) => {
    const large = { ...exampleTransition(sandbox, 3), cause: 'x'.repeat(2 ** 21) };
    await t.rejects(bus.events.append(large), { code: 'PAYLOAD_TOO_LARGE' });
    await t.rejects(bus.events.append({ ...large, sandbox_id: 'a.b' }), RangeError);
  });

  await t.test('events come in order; one that is not taken comes again before the next', async (t) => {
    const stop = new AbortController();
    const seen: number[] = [];
    const tries = new Map<number, number>();
    for (const seq of [3, 4, 5]) await bus.events.append(exampleTransition(sandbox, seq));
    const consuming = bus.events.consume(
      'reader',
      async (event) => {
        const { seq } = event.transition;
        seen.push(seq);
        const nth = (tries.get(seq) ?? 0) + 1;
        tries.set(seq, nth);
        if (seq === 4 && nth === 1) throw new Error('the database is away');
        if (seq === 2 && nth === 1) event.retry(50);
        else await event.ack();
      },
      stop.signal,
    );
    await until(() => seen.includes(5), 'all are seen');
    t.same(seen, [1, 2, 2, 3, 4, 4, 5]);
    await until(
      async () => (await jsm.consumers.info('DORMOUSE_EVENTS', 'reader')).num_ack_pending === 0,
      'all acknowledged',
    );
    stop.abort();
    await consuming;
    t.equal((await jsm.consumers.info('DORMOUSE_EVENTS', 'reader')).num_pending, 0);
  });

  await t.test(
    'a durable consumer goes on where it was; what does not fit the schema is skipped',
    async (t) => {
      raw.publish('dormouse.event.sandbox.x', 'nonsense');
      raw.publish('dormouse.event.sandbox.x', '{"v":1}');
      await raw.flush();
      await bus.events.append(exampleTransition(sandbox, 6));
      const stop = new AbortController();
      const seen: number[] = [];
      const consuming = bus.events.consume(
        'reader',
        async (event) => {
          seen.push(event.transition.seq);
          await event.ack();
        },
        stop.signal,
      );
      await until(() => seen.length > 0, 'one is seen');
      t.same(seen, [6]);

      await jsm.consumers.delete('DORMOUSE_EVENTS', 'reader');
      await until(() => seen.length >= 7, 'the lost consumer is made again and reads from the beginning');
      t.same(seen, [6, 1, 2, 3, 4, 5, 6]);

      await jsm.streams.delete('DORMOUSE_EVENTS');
      await until(
        () =>
          bus.events.append(exampleTransition(sandbox, 7)).then(
            () => true,
            (error) => {
              t.equal(error.code, 'BUS_UNAVAILABLE');
              return false;
            },
          ),
        'the lost stream is made again',
      );
      await until(() => seen.at(-1) === 7, 'and consumed');
      stop.abort();
      await consuming;
    },
  );

  await t.test('a consumer that is stopped before it begins does nothing', async (t) => {
    await bus.events.consume(
      'never',
      async () => {
        t.fail('called');
      },
      AbortSignal.abort(),
    );
    await t.rejects(jsm.consumers.info('DORMOUSE_EVENTS', 'never'));
  });
});
