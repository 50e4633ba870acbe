import t, { type Test } from 'tap';
import type { Inspected } from '../../src/actors/system/inspect.ts';
import type { Inspection } from '../../src/actors/system/inspection.ts';
import { BusInspector } from '../../src/bus/inspector.ts';
import { inspectSubject, type WatchTarget, watchSubject } from '../../src/bus/subjects.ts';
import type { Bus, BusStatus } from '../../src/bus/types.ts';
import { WATCH_LEASE_MS, WATCH_RENEW_MS, watchInspections } from '../../src/bus/watch.ts';
import { newSandboxId } from '../../src/ids.ts';
import { connectTestBus, flushed, TEAM } from '../support/bus.ts';
import { fakeClock } from '../support/fake-clock.ts';
import { exampleInspection } from '../support/inspections.ts';
import { startTestNats, until } from '../support/nats.ts';
import { quiet } from '../support/quiet.ts';

const OTHER_TEAM = '11111111-2222-3333-4444-666666666666';
const sandbox = (id = newSandboxId(), teamId = TEAM): Inspected => ({ kind: 'sandbox', teamId, id });
const host: Inspected = { kind: 'host', hostId: 'h-test' };
const registry: Inspected = { kind: 'loop-registry', hostId: 'h-test' };

/** A host's side and a viewer's, over a real server, each with a clock that the test moves. */
async function sides(t: Test) {
  const server = await startTestNats(t);
  const theirs = await connectTestBus(t, server.url);
  const ours = await connectTestBus(t, server.url);
  const clock = fakeClock();
  const viewerClock = fakeClock();
  const inspector = new BusInspector(theirs, { clock, log: quiet });
  const listening = inspector.listen('h-test');
  t.teardown(() => listening.close());
  await flushed(theirs);
  let looks = 0;
  return {
    server,
    ours,
    theirs,
    clock,
    viewerClock,
    inspector,
    /** How often an inspection was made. */
    looks: () => looks,
    happens: (actor: Inspected, seq = 1): void =>
      inspector.happened(actor, () => {
        looks += 1;
        return exampleInspection(actor, { seq });
      }),
    watch(target: WatchTarget, bus: Bus = ours) {
      const got: Inspection[] = [];
      const watching = watchInspections(bus, viewerClock, target, (inspection) => got.push(inspection));
      t.teardown(() => watching.close());
      return { got, close: () => watching.close() };
    },
    /** All that was published before is where it has to be. */
    async settled() {
      await flushed(ours);
      await flushed(theirs);
      await flushed(ours);
    },
  };
}

t.test('what happens is shown to those who look, and made for nobody else', async (t) => {
  const { watch, happens, settled, looks } = await sides(t);
  const [one, two, foreign] = [sandbox(), sandbox(), sandbox(newSandboxId(), OTHER_TEAM)];
  for (const actor of [one, two, foreign, host, registry]) happens(actor);
  await settled();
  t.equal(looks(), 0, 'nobody looks, so nothing is made');

  const single = watch(one);
  const team = watch({ kind: 'sandbox', teamId: TEAM, id: 'all' });
  const ofHost = watch(host);
  await settled();
  for (const actor of [one, two, foreign, host, registry]) happens(actor, 2);
  await settled();
  const ids = (got: Inspection[]): unknown[] => got.map(({ kind, id, seq }) => [kind, id, seq]);
  t.same(ids(single.got), [['sandbox', one.kind === 'sandbox' && one.id, 2]]);
  t.same(team.got.length, 2);
  t.ok(
    team.got.every(({ team_id }) => team_id === TEAM),
    'of no other team',
  );
  t.same(ids(ofHost.got), [['host', 'h-test', 2]]);
  t.equal(looks(), 3, 'one for each that somebody looks at, however many look');
});

t.test('a lease lives as long as it is renewed', async (t) => {
  const { watch, happens, settled, looks, clock, viewerClock } = await sides(t);
  const one = sandbox();
  const viewer = watch(one);
  await settled();
  for (let renewals = 0; renewals < 4; renewals += 1) {
    clock.advance(WATCH_LEASE_MS - 1);
    viewerClock.advance(WATCH_RENEW_MS);
    await settled();
    happens(one, renewals);
  }
  await settled();
  t.same(
    viewer.got.map(({ seq }) => seq),
    [0, 1, 2, 3],
  );
  viewer.close();
  t.same(viewerClock.armed(), [], 'who closes renews no more');
  const made = looks();
  clock.advance(WATCH_LEASE_MS);
  watch(registry);
  await settled();
  happens(one, 9);
  t.equal(looks(), made, 'the lease is over, also while others look at something else');
});

t.test('after the connection was lost, looking goes on', async (t) => {
  const { watch, happens, server, ours, theirs, clock, viewerClock } = await sides(t);
  const one = sandbox();
  const viewer = watch(one);
  await server.kill();
  await until(() => ours.status() === 'disconnected' && theirs.status() === 'disconnected', 'both notice');
  clock.advance(WATCH_LEASE_MS);
  await server.start();
  await until(() => ours.status() === 'connected' && theirs.status() === 'connected', 'both are back');
  await until(() => {
    viewerClock.advance(WATCH_RENEW_MS);
    happens(one, 7);
    return viewer.got.length > 0;
  }, 'what happens is shown again');
  t.equal(viewer.got[0]?.seq, 7);
});

t.test(
  'a viewer says that it looks when it has subscribed, and as soon as it is connected again',
  async (t) => {
    const said: string[] = [];
    let changed: (status: BusStatus) => void = () => {};
    const bus: Pick<Bus, 'publish' | 'subscribe' | 'onStatus'> = {
      publish: (subject) => void said.push(subject),
      subscribe(subject) {
        said.push(`subscribe ${subject}`);
        return { close: () => void said.push('unsubscribe') };
      },
      onStatus(listener) {
        changed = listener;
        return () => void said.push('status forgotten');
      },
    };
    const viewerClock = fakeClock();
    const watching = watchInspections(bus, viewerClock, { kind: 'host', hostId: 'h-test' }, () => {});
    t.same(said.splice(0), ['subscribe dormouse.inspect.host.h-test', 'dormouse.watch.host.h-test']);
    changed('disconnected');
    t.same(said, []);
    viewerClock.advance(WATCH_RENEW_MS - 1);
    changed('connected');
    t.same(said.splice(0), ['dormouse.watch.host.h-test']);
    t.same(viewerClock.armed(), [WATCH_RENEW_MS], 'one timer');
    watching.close();
    t.same(said, ['status forgotten', 'unsubscribe']);
    t.same(viewerClock.armed(), []);
  },
);

t.test('what is no inspection is dropped', async (t) => {
  const { watch, theirs, settled } = await sides(t);
  const one = sandbox();
  const { got } = watch(one);
  await settled();
  const send = (body: unknown): void =>
    theirs.publish(
      inspectSubject(one),
      new TextEncoder().encode(typeof body === 'string' ? body : JSON.stringify(body)),
    );
  send('not json');
  send({});
  send({ ...exampleInspection(one), secret: 'x' });
  send(exampleInspection(one, { seq: 5 }));
  await settled();
  t.same(
    got.map(({ seq }) => seq),
    [5],
  );
});

t.test('leases are bounded: the one that was named longest ago is forgotten', async (t) => {
  const leases = new Map<string, (payload: Uint8Array, subject: string) => void>();
  const published: string[] = [];
  const bus: Pick<Bus, 'publish' | 'subscribe'> = {
    publish: (subject) => void published.push(subject),
    subscribe(subject, onMessage) {
      leases.set(subject, onMessage);
      return { close: () => void leases.delete(subject) };
    },
  };
  const inspector = new BusInspector(bus, { clock: fakeClock(), log: quiet });
  const listening = inspector.listen('h-test');
  const tell = (subject: string): void =>
    leases.get('dormouse.watch.sandbox.*.*')?.(new Uint8Array(), subject);
  const [first, second] = [sandbox(), sandbox()];
  tell(watchSubject(first));
  tell(watchSubject(second));
  tell(`dormouse.watch.sandbox.${'x'.repeat(1000)}.y`);
  for (let at = 0; at < 4_094; at += 1) tell(watchSubject(sandbox()));
  const show = (actor: Inspected): boolean => {
    published.length = 0;
    inspector.happened(actor, () => exampleInspection(actor));
    return published.length === 1;
  };
  t.ok(show(first), 'as many as there is room for');
  tell(watchSubject(first));
  tell(watchSubject(sandbox()));
  t.notOk(show(second));
  t.ok(show(first), 'one that was named again is not the oldest');
  listening.close();
  t.equal(leases.size, 0);
});

t.test(
  'the last of what happened to the host and its registry is remembered, and made when asked for',
  async (t) => {
    const { inspector, happens, looks } = await sides(t);
    for (let seq = 1; seq <= 250; seq += 1) happens(host, seq);
    happens(registry, 7);
    happens(sandbox(), 8);
    t.equal(looks(), 0);
    const recent = inspector.recent('host').map(({ seq }) => seq);
    t.equal(recent.length, 200);
    t.same([recent[0], recent.at(-1)], [51, 250]);
    t.same(
      inspector.recent('loop-registry').map(({ seq }) => seq),
      [7],
    );
  },
);

t.test('what cannot be shown does not reach the actor', async (t) => {
  const { watch, inspector, settled } = await sides(t);
  watch(host);
  await settled();
  t.doesNotThrow(() =>
    inspector.happened(host, () => {
      throw new Error('it cannot be made');
    }),
  );
});
