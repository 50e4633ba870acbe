import t from 'tap';
import type { FleetChange, Transition } from '../../../../src/ui/lib/types.ts';
import {
  changesAfter,
  type EventRow,
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
  t.equal(told(withNewer([ofTransition(transition)], [row('b', 1), ofChange(change)])), 'b1 a4');
});

t.test('of what the stream keeps, only what is new is taken', async (t) => {
  const changes = [1, 2, 3].map((seq) => ({ id: 'a', seq }) as FleetChange);
  t.same(changesAfter(changes, undefined), changes);
  t.same(changesAfter(changes, changes[1]), [changes[2]]);
  t.same(changesAfter(changes, changes[2]), []);
  t.same(changesAfter(changes, { id: 'a', seq: 0 } as FleetChange), changes, 'it was long ago');
});

t.test('the list does not grow without end, and loses the oldest', async (t) => {
  const many = Array.from({ length: ROWS_KEPT }, (_, at) => row('a', ROWS_KEPT - at));
  const rows = withNewer(many, [row('b', 1)]);
  t.equal(rows.length, ROWS_KEPT);
  t.equal(rows[0]?.id, 'b');
  t.equal(rows.at(-1)?.seq, 2);
});

t.test('a filter finds failures and words', async (t) => {
  const failed = row('a', 1, { error: { code: 'VMM_FAILED', detail: 'It closed.' } });
  t.equal(passes(row('a', 1), { text: '', isFailed: true }), false);
  t.equal(passes(failed, { text: '', isFailed: true }), true);
  t.equal(passes(failed, { text: 'vmm_failed closed', isFailed: false }), true);
  t.equal(passes(failed, { text: 'vmm_failed opened', isFailed: false }), false);
});
