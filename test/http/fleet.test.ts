import { jetstreamManager } from '@nats-io/jetstream';
import { connect } from '@nats-io/transport-node';
import t from 'tap';
import { PROJECTOR_CONSUMER } from '../../nats/streams.ts';
import type { SandboxTransition, SandboxView } from '../../src/actors/sandbox/protocol.ts';
import { inspectSubject, watchSubject } from '../../src/bus/subjects.ts';
import { systemClock } from '../../src/clock.ts';
import { runProjector } from '../../src/projector/index.ts';
import { LOST } from '../../src/records/types.ts';
import { exampleInspection, exampleTransition, flushed } from '../support/bus.ts';
import { until } from '../support/nats.ts';
import { quiet } from '../support/quiet.ts';
import { readEvents } from './event-reader.ts';
import { addHost, addRecord, ask, startWorld, type Team } from './support.ts';

const world = await startWorld(t);
const { edge, records, far, bus } = world;

const raw = await connect({ servers: world.nats.url });
t.teardown(() => raw.close());
const jsm = await jetstreamManager(raw);
const lastOfStream = async () => (await jsm.streams.info('DORMOUSE_EVENTS')).state.last_seq;

const stop = new AbortController();
const projecting = runProjector({ bus: far, records, clock: systemClock, log: quiet, signal: stop.signal });
t.teardown(async () => {
  stop.abort();
  await projecting;
});

const NOW = Date.now();

/** The `seq`-th transition into that state, so many seconds from now. */
function into(
  view: SandboxView,
  seq: number,
  to: string,
  changes: Partial<SandboxTransition> = {},
  second = seq,
): SandboxTransition {
  const [state, step = null] = to.split('.');
  const at = new Date(NOW + second * 1000).toISOString();
  const changed = { ...view, state: state as SandboxView['state'], step, updated_at: at };
  return { ...exampleTransition(changed, seq), at, to, ...changes };
}

async function happens(...transitions: SandboxTransition[]): Promise<void> {
  for (const transition of transitions) await far.events.append(transition);
}

/** Until all that happened is in the records. */
async function projected(team: Team, count: number): Promise<void> {
  await until(
    async () => (await records.listTeamTransitions({ teamId: team.id, limit: 200 })).items.length >= count,
    `${count} are in the records`,
  );
}

const fleetOf = async (team: Team) => (await ask(t, edge, 'GET', '/v1/fleet', team)).body;
const streamOf = (team: Team, lastId?: string) =>
  readEvents(t, edge, '/v1/fleet/stream', {
    key: team.key,
    ...(lastId !== undefined && { headers: { 'last-event-id': lastId } }),
  });

t.test('the fleet of a team: its rows, what is usual, and where to go on', async (t) => {
  const team = await world.newTeam(['read']);
  t.match(await fleetOf(team), { sandboxes: [], truncated: false, usual: [], cursor: /^\d+\.\d+$/ });
  const view = await addRecord(records, team, { seq: 0, template: 'python' });
  const gone = await addRecord(records, team, { seq: 0 });
  await happens(
    into(view, 1, 'running'),
    into(view, 2, 'stranded', {
      moment: { context: { tries: 4 }, ledger: [], timers: [] },
    }),
    into(gone, 1, 'destroyed'),
  );
  await projected(team, 3);
  // What is usual was asked for a moment ago; another edge asks anew.
  const other = await world.newEdge();
  const { body } = await ask(t, other, 'GET', '/v1/fleet', team);
  t.same(body.sandboxes, [
    {
      id: view.id,
      host_id: 'h-test',
      template: 'python',
      state: 'stranded',
      since: into(view, 2, 'stranded').at,
      seq: 2,
      execution: 1,
      tries: 4,
      error_code: null,
    },
  ]);
  t.same(body.usual, [{ state: 'running', count: 1, p50_ms: 1000, p95_ms: 1000, p99_ms: 1000 }]);
});

t.test('the stream goes on from the fleet: nothing is left out, and nothing of others is told', async (t) => {
  const [team, stranger] = [await world.newTeam(['read']), await world.newTeam(['read'])];
  const view = await addRecord(records, team, { seq: 0 });
  const theirs = await addRecord(records, stranger, { seq: 0 });
  await happens(into(view, 1, 'running'));
  await projected(team, 1);
  const { cursor } = await fleetOf(team);
  // Between the two requests.
  await happens(into(view, 2, 'pausing.draining'), into(theirs, 1, 'running'));
  const reader = await streamOf(team, cursor);
  const error = { code: 'VMM_FAILED', detail: 'See /data/x/y.log', causes: ['no'] };
  await happens(
    into(view, 3, 'running', {
      from: 'pausing.draining',
      cause: 'step.failed',
      step: 'drain',
      step_duration_ms: 2.5,
      error,
    }),
  );
  await until(() => reader.events.some(({ data }) => data.seq === 3), 'the last one is told');
  const changes = reader.events.filter(({ data }) => data.seq > 1);
  t.same(
    changes.map(({ event, data }) => [event, data.id, data.seq, data.state]),
    [
      ['transition', view.id, 2, 'pausing.draining'],
      ['transition', view.id, 3, 'running'],
    ],
  );
  t.match(changes.at(-1)?.data, {
    from: 'pausing.draining',
    cause: 'step.failed',
    step: 'drain',
    step_duration_ms: 2.5,
    error: { code: 'VMM_FAILED', detail: 'See (file)' },
  });
  t.notMatch(reader.text(), theirs.id);

  reader.close();
  await happens(into(view, 4, 'paused'), into(view, 5, 'destroyed'));
  const again = await streamOf(team, changes[0]?.id);
  t.same(
    (await again.until(3, 'transition')).map(({ data }) => data.seq),
    [3, 4, 5],
    'it goes on after the last event',
  );
});

t.test('without a cursor, the stream tells what happens from now on', async (t) => {
  const team = await world.newTeam(['read']);
  const view = await addRecord(records, team, { seq: 0 });
  await happens(into(view, 1, 'running'));
  await projected(team, 1);
  // The projector tells the server so a moment after it has stored the event.
  await until(
    async () => (await bus.events.handled(PROJECTOR_CONSUMER)) === (await lastOfStream()),
    'it is told',
  );
  const reader = await streamOf(team);
  await happens(into(view, 2, 'paused'));
  t.match(await reader.until(1, 'transition'), [{ data: { id: view.id, seq: 2 } }]);
});

t.test('many changes come in few pieces', async (t) => {
  const team = await world.newTeam(['read']);
  const view = await addRecord(records, team, { seq: 0 });
  for (let seq = 1; seq <= 200; seq++) await happens(into(view, seq, 'running'));
  const reader = await streamOf(team, '0.0');
  const seqs = (await reader.until(200, 'transition')).map(({ data }) => data.seq);
  t.same(
    seqs,
    Array.from({ length: 200 }, (_, index) => index + 1),
  );
});

t.test('a command that was refused is told', async (t) => {
  const team = await world.newTeam(['read']);
  const view = await addRecord(records, team);
  const target = { kind: 'sandbox', teamId: team.id, id: 'all' } as const;
  let notes = 0;
  const subscription = far.subscribe(watchSubject(target), () => {
    notes += 1;
  });
  t.teardown(() => subscription.close());
  await flushed(far);
  const reader = await streamOf(team);
  await until(() => notes > 0, 'it is looked at');
  const tell = (changes: object) =>
    far.publish(
      inspectSubject({ ...target, id: view.id }),
      Buffer.from(JSON.stringify({ ...exampleInspection(view, 1), ...changes })),
    );
  tell({});
  tell({ to: 'paused', refused: 'exec' });
  t.match(await reader.until(1, 'refused'), [
    {
      id: undefined,
      data: { id: view.id, state: 'paused', command: 'exec', at: '2026-01-01T00:00:00.000Z' },
    },
  ]);
});

t.test('a sandbox that was inferred to be lost is told of, once', async (t) => {
  const team = await world.newTeam(['read']);
  const view = await addRecord(records, team, { seq: 0 });
  const { cursor } = await fleetOf(team);
  await records.applyTransition(into(view, 1, 'failed', { cause: LOST }, 0));
  const reader = await streamOf(team, cursor);
  t.match(await reader.until(1, 'transition'), [{ data: { id: view.id, state: 'failed', cause: LOST } }]);
});

t.test('a reader that was away for too long has to read the fleet anew', async (t) => {
  const team = await world.newTeam(['read']);
  const view = await addRecord(records, team, { seq: 0 });
  await happens(into(view, 1, 'running'));
  const ahead = await streamOf(team, '999999.0');
  await until(() => ahead.isEnded(), 'it ends');
  t.match(ahead.events.at(-1), { event: 'reset' }, 'a stream that was made anew has lower numbers');

  await happens(into(view, 2, 'running'), into(view, 3, 'running'));
  await jsm.streams.purge('DORMOUSE_EVENTS', { keep: 1 });
  const late = await streamOf(team, '0.0');
  await until(() => late.isEnded(), 'it ends');
  t.match(late.events, [{ event: 'reset', data: {} }]);
});

t.test('a cursor that is none', async (t) => {
  const team = await world.newTeam(['read']);
  for (const id of ['', 'x', '1', '1.2.3', `${'9'.repeat(16)}.1`])
    t.match(
      (await ask(t, edge, 'GET', '/v1/fleet/stream', { ...team, headers: { 'last-event-id': id } })).body,
      { status: 400, code: 'INVALID_REQUEST', in: 'headers' },
      id,
    );
});

t.test('events of a team: newest first, page by page', async (t) => {
  const team = await world.newTeam(['read']);
  const view = await addRecord(records, team, { seq: 0 });
  const error = { code: 'VMM_FAILED', detail: 'no', causes: ['/data/x/y is gone'] };
  for (const seq of [1, 2, 3])
    await records.applyTransition(into(view, seq, 'running', seq === 3 ? { error } : {}));
  const stranger = await world.newTeam(['read']);
  await records.applyTransition(into(await addRecord(records, stranger, { seq: 0 }), 1, 'running'));
  const page = (query: string) => ask(t, edge, 'GET', `/v1/events${query}`, team);
  const first = (await page('?limit=2')).body;
  t.match(first.transitions, [{ seq: 3, error: { causes: ['(file) is gone'] } }, { seq: 2 }]);
  const second = (await page(`?limit=2&cursor=${first.next_cursor}`)).body;
  t.match(second, { transitions: [{ seq: 1 }], next_cursor: null });
  for (const query of ['?cursor=x', '?limit=0', '?limit=201', '?cursor=', '?before=x'])
    t.match((await page(query)).body, { status: 400, code: 'INVALID_REQUEST' }, query);
});

t.test('what sandboxes really take: of all hosts that answer', async (t) => {
  const team = await world.newTeam(['read']);
  const [one, other, silent] = await Promise.all([addHost(t, world), addHost(t, world), addHost(t, world)]);
  const of = (id: string, allocated_bytes: number, owner = team.id) => ({ team: owner, id, allocated_bytes });
  one.usage.push(of('sb-a', 4096), of('sb-theirs', 1, crypto.randomUUID()));
  other.usage.push(of('sb-b', 2 ** 40));
  silent.refuse.usage = () => new Error('it fails');
  const { body } = await ask(t, edge, 'GET', '/v1/usage', team);
  t.same(
    body.sandboxes.toSorted((a: { id: string }, b: { id: string }) => (a.id < b.id ? -1 : 1)),
    [
      { id: 'sb-a', allocated_bytes: 4096 },
      { id: 'sb-b', allocated_bytes: 2 ** 40 },
    ],
  );
  t.same(body.hosts_missing, [silent.id]);
});
