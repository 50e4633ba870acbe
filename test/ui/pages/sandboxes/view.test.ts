import t from 'tap';
import type { FleetRow, Sandbox } from '../../../../src/ui/lib/types.ts';
import { type Filter, type Order, viewOf } from '../../../../src/ui/pages/sandboxes/view.ts';

const row = (id: string, state: string, more: Partial<FleetRow> = {}): FleetRow => ({
  id,
  host_id: 'h-1',
  template: 'minimal',
  state,
  since: '2026-01-01T00:00:00.000Z',
  seq: 1,
  execution: 1,
  tries: null,
  error_code: null,
  ...more,
});
const rows = [
  row('sb-a', 'running', { since: '2026-01-01T00:00:03.000Z', template: 'python' }),
  row('sb-b', 'pausing.snapshotting', { since: '2026-01-01T00:00:01.000Z' }),
  row('sb-c', 'crashed.cleaning', { since: '2026-01-01T00:00:02.000Z', error_code: 'VMM_GONE' }),
  row('sb-d', 'paused', { host_id: 'h-2' }),
];
const known = {
  sandboxes: new Map([
    ['sb-a', { created_at: '2026-01-01T00:00:00.000Z', metadata: { user: 'ada' } } as unknown as Sandbox],
    ['sb-b', { created_at: '2026-01-02T00:00:00.000Z', metadata: {} } as unknown as Sandbox],
  ]),
  usedBytes: new Map([
    ['sb-a', 5],
    ['sb-c', 9],
  ]),
};
const ALL: Filter = { text: '', group: 'all', state: '' };
const NEWEST: Order = { key: 'created', isDescending: true };
const idsOf = (filter: Partial<Filter>, order = NEWEST): string =>
  viewOf(rows.toReversed(), known, { ...ALL, ...filter }, order).ids.join(' ');

t.test('all are counted, whatever the filter lets through', async (t) => {
  const { counts, ids } = viewOf(rows, known, { ...ALL, text: 'nothing has this' }, NEWEST);
  t.same(counts, { all: 4, running: 1, paused: 1, moving: 1, failed: 1 });
  t.same(ids, []);
});

t.test('a filter looks at everything that is known, and wants all words', async (t) => {
  t.equal(idsOf({ text: 'VMM_gone' }), 'sb-c', 'an error');
  t.equal(idsOf({ text: 'user=ada' }), 'sb-a', 'metadata');
  t.equal(idsOf({ text: 'snapsh' }), 'sb-b', 'a part of a state');
  t.equal(idsOf({ text: 'h-2' }), 'sb-d', 'a host');
  t.equal(idsOf({ text: '  python   RUNNING ' }), 'sb-a');
  t.equal(idsOf({ text: 'python paused' }), '');
  t.equal(idsOf({ group: 'failed' }), 'sb-c');
  t.equal(idsOf({ state: 'pausing' }), 'sb-b');
});

t.test('what is not known yet counts as the newest', async (t) => {
  t.equal(idsOf({}), 'sb-c sb-d sb-b sb-a');
});

t.test('every order goes both ways, and equals are in the order of their ids', async (t) => {
  t.equal(idsOf({}, { key: 'since', isDescending: false }), 'sb-d sb-b sb-c sb-a');
  t.equal(idsOf({}, { key: 'since', isDescending: true }), 'sb-a sb-c sb-b sb-d');
  t.equal(idsOf({}, { key: 'used', isDescending: true }), 'sb-c sb-a sb-b sb-d');
  t.equal(idsOf({}, { key: 'host', isDescending: true }), 'sb-d sb-a sb-b sb-c');
  t.equal(idsOf({}, { key: 'template', isDescending: false }), 'sb-b sb-c sb-d sb-a');
});
