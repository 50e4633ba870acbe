import t, { type Test } from 'tap';
import type { SandboxTransition, SandboxView } from '../../src/actors/sandbox/protocol.ts';
import type { Inspection } from '../../src/actors/system/inspection.ts';
import { inspectSubject, watchSubject } from '../../src/bus/subjects.ts';
import { newSandboxId } from '../../src/ids.ts';
import { LOST } from '../../src/records/types.ts';
import { exampleInspection, exampleTransition, flushed } from '../support/bus.ts';
import { until } from '../support/nats.ts';
import { type EventReader, readEvents } from './event-reader.ts';
import { addRecord, addSandbox, ask, startWorld, type Team } from './support.ts';

const world = await startWorld(t);
const { edge, records, far } = world;

/** The `seq`-th transition into that state. */
function into(view: SandboxView, seq: number, state: SandboxView['state']): SandboxTransition {
  return { ...exampleTransition({ ...view, state }, seq), to: state };
}

async function store(...transitions: SandboxTransition[]): Promise<void> {
  for (const transition of transitions) await records.applyTransition(transition);
}

/** A sandbox of a new team that is looked at: what it does is told when somebody looks. */
async function watched(t: Test): Promise<{
  team: Team;
  view: SandboxView;
  watchers: () => number;
  tell(inspection: Inspection): void;
  open(query?: string, headers?: Record<string, string>): Promise<EventReader>;
}> {
  const team = await world.newTeam(['read']);
  const view = await addRecord(records, team, { seq: 0 });
  const target = { kind: 'sandbox', teamId: team.id, id: view.id } as const;
  let notes = 0;
  const subscription = far.subscribe(watchSubject(target), () => {
    notes += 1;
  });
  t.teardown(() => subscription.close());
  await flushed(far);
  return {
    team,
    view,
    watchers: () => notes,
    tell: (inspection) => far.publish(inspectSubject(target), Buffer.from(JSON.stringify(inspection))),
    async open(query = '', headers = {}) {
      const before = notes;
      const url = `/v1/sandboxes/${view.id}/inspection/stream${query}`;
      const reader = await readEvents(t, edge, url, { key: team.key, headers });
      if (reader.status === 200) await until(() => notes > before || reader.isEnded(), 'it is looked at');
      return reader;
    },
  };
}

const numbers = (events: Array<{ data: Inspection }>): number[] => events.map(({ data }) => data.seq);

t.test('the present of a sandbox, without paths of its host', async (t) => {
  const team = await world.newTeam(['read']);
  const failure = {
    code: 'DISK_FULL',
    detail: 'No room in /data/store/sb-1/disk.',
    causes: ['write /data/x/y: ENOSPC'],
  };
  const inspect = (): Inspection => ({
    ...exampleInspection(view, 7),
    error: failure,
    moment: {
      context: { failure, heading: 'pausing', tries: 2 },
      ledger: [{ kind: 'disk', since: '2026-01-01T00:00:00.000Z' }],
      timers: [],
    },
  });
  const { view, received } = await addSandbox(world, team, { inspect });
  const { status, body, text } = await ask(t, edge, 'GET', `/v1/sandboxes/${view.id}/inspection`, team);
  t.equal(status, 200);
  t.notMatch(text, /\/data/);
  const shown = { code: 'DISK_FULL', detail: 'No room in (file)', causes: ['write (file): ENOSPC'] };
  t.same(body.error, shown);
  t.same(body.moment.context, { failure: shown, heading: 'pausing', tries: 2 });
  t.match(body, { seq: 7, kind: 'sandbox', id: view.id, moment: { ledger: [{ kind: 'disk' }] } });
  t.match(received, [{ name: 'inspect' }]);
});

t.test('the present of a sandbox whose host is away, or that is none', async (t) => {
  const team = await world.newTeam(['read']);
  const away = await addRecord(records, team);
  const gone = await addRecord(records, team, { state: 'destroyed' });
  const answer = async (id: string) =>
    (await ask(t, edge, 'GET', `/v1/sandboxes/${id}/inspection`, team)).body;
  t.match(await answer(away.id), { status: 503, code: 'HOST_UNREACHABLE' });
  t.match(await answer(gone.id), { status: 404, code: 'SANDBOX_NOT_FOUND' });
  t.match(await answer(newSandboxId()), { status: 404, code: 'SANDBOX_NOT_FOUND' });
});

t.test('a transition is told with all causes of its error and with its moment, without paths', async (t) => {
  const team = await world.newTeam(['read']);
  const view = await addRecord(records, team, { seq: 0 });
  const error = {
    code: 'VMM_FAILED',
    detail: 'See /data/a/b.log.',
    causes: ['/data/a/b.sock is gone', 'ECONNREFUSED'],
  };
  const moment = { context: { last_error: error, tries: 1 }, ledger: [], timers: [] };
  await store({ ...exampleTransition(view, 1), error, moment });
  const { body } = await ask(t, edge, 'GET', `/v1/sandboxes/${view.id}/transitions`, team);
  const shown = { code: 'VMM_FAILED', detail: 'See (file)', causes: ['(file) is gone', 'ECONNREFUSED'] };
  t.same(body.transitions[0].error, shown);
  t.same(body.transitions[0].moment, { context: { last_error: shown, tries: 1 }, ledger: [], timers: [] });
});

t.test('the stream: the history after a number, then what happens, each once and in order', async (t) => {
  const { view, tell, open } = await watched(t);
  await store(into(view, 1, 'creating'), into(view, 2, 'running'), into(view, 3, 'pausing'));
  const reader = await open('?after_seq=1');
  t.match(reader.headers, {
    'content-type': /^text\/event-stream/,
    'cache-control': 'no-store',
    'x-content-type-options': 'nosniff',
  });
  await reader.until(2);
  // Live it comes again, and then what follows.
  tell({ ...exampleInspection(view, 3), to: 'pausing' });
  tell({ ...exampleInspection(view, 4), to: 'paused' });
  const events = await reader.until(3);
  t.same(numbers(events), [2, 3, 4]);
  t.same(
    events.map(({ id }) => id),
    ['2', '3', '4'],
  );
  t.match(events[0]?.data, { to: 'running', kind: 'sandbox', id: view.id, refused: null, moment: null });
});

t.test('the stream: from now on, when nothing is said', async (t) => {
  const { view, tell, open } = await watched(t);
  await store(into(view, 1, 'creating'), into(view, 2, 'running'));
  const reader = await open();
  tell(exampleInspection(view, 3));
  t.same(numbers(await reader.until(1)), [3]);
});

t.test('the stream: goes on after the last event, whatever the address says', async (t) => {
  const { view, open } = await watched(t);
  await store(...[1, 2, 3, 4].map((seq) => into(view, seq, 'running')));
  const reader = await open('?after_seq=0', { 'last-event-id': '3' });
  t.same(numbers(await reader.until(1)), [4]);
});

t.test('the stream: a history of several pages', async (t) => {
  const { view, open } = await watched(t);
  const seqs = Array.from({ length: 250 }, (_, index) => index + 1);
  const parts = Array.from({ length: 5 }, (_, part) => seqs.filter((seq) => seq % 5 === part));
  await Promise.all(parts.map((part) => store(...part.map((seq) => into(view, seq, 'running')))));
  const reader = await open('?after_seq=0');
  t.same(numbers(await reader.until(seqs.length)), seqs);
});

t.test('the stream: what was lost on the way is taken from the records', async (t) => {
  const { view, tell, open } = await watched(t);
  const reader = await open();
  tell(exampleInspection(view, 1));
  await reader.until(1);
  // The second and third are lost; the fifth overtakes the fourth. The records are late.
  tell(exampleInspection(view, 5));
  tell(exampleInspection(view, 4));
  await flushed(far);
  await store(into(view, 2, 'running'));
  await reader.until(2);
  await store(into(view, 3, 'running'));
  t.same(numbers(await reader.until(5)), [1, 2, 3, 4, 5]);
});

t.test('the stream: refused commands are told after the transition before them, without an id', async (t) => {
  const { view, tell, open } = await watched(t);
  const reader = await open();
  const refused = { ...exampleInspection(view, 1), cause: 'resume', refused: 'resume' };
  tell(refused);
  tell(exampleInspection(view, 1));
  const events = await reader.until(2);
  t.same(
    events.map(({ id, data }) => [id, data.seq, data.refused]),
    [
      ['1', 1, null],
      [undefined, 1, 'resume'],
    ],
  );
});

t.test('the stream: ends after the end of the sandbox was told', async (t) => {
  for (const [state, isLive] of [
    ['destroyed', true],
    ['failed', false],
  ] as const) {
    const { view, tell, open } = await watched(t);
    const reader = await open('?after_seq=0');
    if (isLive) tell({ ...exampleInspection(view, 1), to: state });
    else {
      await store(into(view, 1, 'running'), into(view, 2, state));
      tell({ ...exampleInspection(view, 2), to: state });
    }
    await until(() => reader.isEnded(), 'it ends');
    t.match(reader.events.at(-1), { event: 'end', data: { seq: isLive ? 1 : 2 } });
    t.match(reader.events.at(-2), { event: 'inspection', data: { to: state } });
  }
});

t.test('the stream: of a sandbox that is gone, what was not read, and the end', async (t) => {
  const { view, open } = await watched(t);
  await store(into(view, 1, 'running'), into(view, 2, 'destroyed'));
  for (const [after, read] of [
    ['?after_seq=0', [1, 2]],
    ['?after_seq=2', []],
    ['', []],
  ] as const) {
    const reader = await open(after);
    await until(() => reader.isEnded(), 'it ends');
    t.same(numbers(reader.events.filter(({ event }) => event === 'inspection')), read, after);
    t.match(reader.events.at(-1), { event: 'end', data: { seq: 2 } });
  }
});

t.test('the stream: a sandbox that was inferred to be lost is told of, though no host tells', async (t) => {
  const { view, open } = await watched(t);
  await store(into(view, 1, 'running'), { ...into(view, 2, 'failed'), cause: LOST });
  const reader = await open('?after_seq=1');
  t.match(await reader.until(1), [{ data: { to: 'failed', cause: LOST } }]);
});

t.test('the stream: nobody looks any more when the reader has gone', async (t) => {
  const { view, tell, open } = await watched(t);
  const reader = await open();
  tell(exampleInspection(view, 1));
  await reader.until(1);
  reader.close();
  await until(() => reader.isEnded(), 'it hung up');
  tell(exampleInspection(view, 2));
  await flushed(far);
  t.equal(reader.events.length, 1);
});

t.test('the stream: what is no number is refused; a HEAD opens none', async (t) => {
  const { team, view } = await watched(t);
  const url = `/v1/sandboxes/${view.id}/inspection/stream`;
  for (const id of ['x', '-1', '1.5', '2147483648', '9'.repeat(16)])
    t.match(
      (await ask(t, edge, 'GET', url, { ...team, headers: { 'last-event-id': id } })).body,
      { status: 400, code: 'INVALID_REQUEST' },
      id,
    );
  for (const seq of ['-1', '2147483648'])
    t.match((await ask(t, edge, 'GET', `${url}?after_seq=${seq}`, team)).body, { code: 'INVALID_REQUEST' });
  const headers = { 'last-event-id': '2147483647' };
  t.equal((await ask(t, edge, 'GET', url, { ...team, headers })).status, 200);
  t.equal((await edge.inject({ method: 'HEAD', url, headers: { 'x-api-key': team.key } })).statusCode, 405);
});
