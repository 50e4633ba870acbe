import t from 'tap';
import {
  CHANGES_KEPT,
  emptyTables,
  type FleetEvent,
  REFUSALS_KEPT,
  tablesOf,
  takeOver,
} from '../../../src/ui/lib/fleet-state.ts';
import type { FleetChange, FleetRow } from '../../../src/ui/lib/types.ts';
import { exampleRow } from '../fleet-row.ts';

const change = (id: string, seq: number, state: string): FleetEvent => ({
  event: 'transition',
  data: {
    ...exampleRow(id, seq, state),
    from: null,
    cause: 'x',
    step: null,
    step_duration_ms: null,
    error: null,
  },
});
const fleetOf = (...sandboxes: FleetRow[]) =>
  tablesOf({
    at: '2026-01-01T00:00:00.000Z',
    sandboxes,
    truncated: false,
    usual: [{ state: 'running', count: 1, p50_ms: 1, p95_ms: 2, p99_ms: 3 }],
    cursor: '1',
  });

t.test('a change replaces the row, and is kept', async (t) => {
  const tables = fleetOf(exampleRow('a', 3), exampleRow('b', 7));
  takeOver(tables, [change('a', 4, 'pausing.draining'), change('c', 1, 'creating.disk')]);
  t.equal(tables.rows.get('a')?.state, 'pausing.draining');
  t.equal(tables.rows.get('b')?.seq, 7);
  t.same([...tables.rows.keys()], ['a', 'b', 'c'], 'a row keeps its place');
  t.same(
    tables.changes.map(({ id }) => id),
    ['a', 'c'],
  );
  t.equal(tables.usual.get('running')?.p99_ms, 3);
});

t.test('what is told twice, or late, changes nothing', async (t) => {
  const tables = fleetOf(exampleRow('a', 3, 'paused'));
  takeOver(tables, [change('a', 3, 'running'), change('a', 2, 'running')]);
  t.equal(tables.rows.get('a')?.state, 'paused');
  t.same(tables.changes, []);
});

t.test('one that is destroyed goes and does not come back', async (t) => {
  const tables = fleetOf(exampleRow('a', 3));
  takeOver(tables, [change('a', 5, 'destroyed')]);
  t.equal(tables.rows.size, 0);
  takeOver(tables, [change('a', 4, 'destroying'), change('a', 5, 'destroyed')]);
  t.equal(tables.rows.size, 0, 'the overlap of a stream that begins anew');
  t.equal(tables.changes.length, 1);
});

t.test('one that failed stays to be looked at', async (t) => {
  const tables = fleetOf(exampleRow('a', 3));
  takeOver(tables, [change('a', 4, 'failed')]);
  t.equal(tables.rows.get('a')?.state, 'failed');
});

t.test('only the newest are kept', async (t) => {
  const tables = emptyTables();
  const many = Array.from({ length: CHANGES_KEPT + 10 }, (_, at) => change('a', at + 1, 'running'));
  takeOver(tables, many);
  t.equal(tables.changes.length, CHANGES_KEPT);
  t.equal((tables.changes.at(-1) as FleetChange).seq, CHANGES_KEPT + 10, 'the newest is last');
  const refusals = Array.from({ length: REFUSALS_KEPT + 1 }, (_, at) => ({
    event: 'refused' as const,
    data: { id: 'a', state: 'paused', command: `c${at}`, at: '2026-01-01T00:00:00.000Z' },
  }));
  takeOver(tables, refusals);
  t.equal(tables.refusals.length, REFUSALS_KEPT);
  t.equal(tables.refusals[0]?.command, 'c1');
});

t.test('those that are gone are not remembered for ever', async (t) => {
  const tables = emptyTables();
  const gone = Array.from({ length: 6_000 }, (_, at) => change(`s${at}`, 1, 'destroyed'));
  takeOver(tables, gone);
  t.equal(tables.gone.size, 5_000);
  t.ok(tables.gone.has('s5999'), 'the newest are');
});
