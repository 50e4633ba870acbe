import t from 'tap';
import type { FleetChange, Transition } from '../../../../src/ui/lib/types.ts';
import {
  changesAfter,
  type EventRow,
  isCutOff,
  keyOf,
  ofChange,
  ofTransition,
  passes,
  ROWS_KEPT,
  withNewer,
  withOlder,
} from '../../../../src/ui/pages/events/feed.ts';

const row = (id: string, seq: number, more: Partial<EventRow> = {}): EventRow => ({
  id,
  seq,
  at: '2026-01-01T00:00:00.000Z',
  from: 'running',
  to: 'pausing.draining',
  cause: 'pause',
  step: null,
  stepMs: null,
  error: null,
  ...more,
});
const told = (rows: readonly EventRow[]): string => rows.map(({ id, seq }) => `${id}${seq}`).join(' ');

t.test('the same transition is one row, whoever tells it', async (t) => {
  const change = {
    id: 'a',
    seq: 4,
    since: '2026-01-01T00:00:00.000Z',
    from: 'running',
    state: 'pausing.draining',
    cause: 'pause',
    step: null,
    step_duration_ms: null,
    error: null,
  } as FleetChange;
  const transition = {
    sandbox_id: 'a',
    seq: 4,
    at: '2026-01-01T00:00:00.000Z',
    from: 'running',
    to: 'pausing.draining',
    cause: 'pause',
    step: null,
    step_duration_ms: null,
    error: null,
  } as Transition;
  t.same(ofChange(change), ofTransition(transition));
  t.equal(told(withOlder([ofChange(change)], [ofTransition(transition), row('a', 3)])), 'a4 a3');
  const rows = withNewer([ofTransition(transition)], [row('b', 1), ofChange(change)]);
  t.equal(told(rows), 'b1 a4');
});

t.test('of what the stream keeps, only what is new is taken', async (t) => {
  const changes = [1, 2, 3].map((seq) => ({ id: 'a', seq }) as FleetChange);
  t.same(changesAfter(changes, undefined), changes);
  t.same(changesAfter(changes, changes[1]), [changes[2]]);
  t.same(changesAfter(changes, changes[2]), []);
  const longAgo = { id: 'a', seq: 0 } as FleetChange;
  t.same(changesAfter(changes, longAgo), changes, 'it was long ago');
  t.equal(isCutOff(changes, longAgo), true, 'and there may have been more');
  t.equal(isCutOff(changes, changes[0]), false);
  t.equal(isCutOff(changes, undefined), false, 'nothing came before them');
  t.equal(isCutOff([], changes[2]), true, 'the stream has begun anew');
});

t.test('the list does not grow without end, and loses the oldest', async (t) => {
  const many = Array.from({ length: ROWS_KEPT }, (_, at) => row('a', ROWS_KEPT - at));
  const rows = withNewer(many, [row('b', 1)]);
  t.equal(rows.length, ROWS_KEPT);
  t.equal(rows[0]?.id, 'b');
  t.equal(rows.at(-1)?.seq, 2);
});

t.test('what was missed comes to its place', async (t) => {
  const before = [row('a', 2), row('a', 1)];
  const known = new Set(before.map(keyOf));
  const rows = withNewer([row('c', 9), ...before], [row('c', 9), row('b', 7), row('b', 6)], known);
  t.equal(told(rows), 'c9 b7 b6 a2 a1');
});

t.test('a filter finds failures and words', async (t) => {
  const failed = row('a', 1, { error: { code: 'VMM_FAILED', detail: 'It closed.' } });
  t.equal(passes(row('a', 1), { text: '', isFailed: true }), false);
  t.equal(passes(failed, { text: '', isFailed: true }), true);
  t.equal(passes(failed, { text: 'vmm_failed closed', isFailed: false }), true);
  t.equal(passes(failed, { text: 'vmm_failed opened', isFailed: false }), false);
});
