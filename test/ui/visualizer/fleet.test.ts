import t from 'tap';
import type { FleetRow, Usual } from '../../../src/ui/lib/types.ts';
import { attentionTo, stuckness } from '../../../src/ui/visualizer/fleet/attention.ts';
import { countStates } from '../../../src/ui/visualizer/fleet/counts.ts';
import { find, findHosts, LISTED_MAX } from '../../../src/ui/visualizer/fleet/search.ts';

const NOW_MS = Date.parse('2026-01-01T00:10:00Z');

function row(
  id: string,
  state: string,
  { agoMs = 0, ...rest }: { agoMs?: number } & Partial<FleetRow> = {},
): FleetRow {
  return {
    id,
    host_id: 'host-a',
    template: 'minimal',
    state,
    since: new Date(NOW_MS - agoMs).toISOString(),
    seq: 1,
    execution: 1,
    tries: 0,
    error_code: null,
    ...rest,
  };
}

const usual = new Map<string, Usual>([
  [
    'pausing.snapshotting',
    { state: 'pausing.snapshotting', count: 20, p50_ms: 300, p95_ms: 900, p99_ms: 2_000 },
  ],
  ['creating.vm', { state: 'creating.vm', count: 19, p50_ms: 1, p95_ms: 1, p99_ms: 1 }],
  ['pausing.draining', { state: 'pausing.draining', count: 500, p50_ms: 1, p95_ms: 1, p99_ms: 2 }],
]);

t.test('stuck is what is longer in a step than 99 of 100 were', async (t) => {
  const stuckAfter = (state: string, agoMs: number) =>
    stuckness(row('sb', state, { agoMs }), usual, NOW_MS)?.limitMs;
  t.equal(stuckAfter('pausing.snapshotting', 2_000), undefined);
  t.equal(stuckAfter('pausing.snapshotting', 2_001), 2_000);
  t.equal(stuckAfter('creating.vm', 60_000), undefined, 'of 19 times nothing can be said');
  t.equal(stuckAfter('creating.vm', 60_001), 60_000);
  t.equal(stuckAfter('resuming.vm', 60_001), 60_000, 'nor of a state that is not known');
  t.equal(stuckAfter('pausing.draining', 900), undefined, 'a page is behind by more than 2 ms');
  for (const state of ['running', 'paused', 'failed', 'crashed.resting', 'stranded'])
    t.equal(stuckAfter(state, 1e9), undefined, `${state} is where it may stay`);
  t.ok(stuckAfter('crashed.cleaning', 1e6));
});

t.test('the lists have the longest and the newest first', async (t) => {
  const rows = [
    row('stuck-2', 'pausing.snapshotting', { agoMs: 3_000 }),
    row('stuck-1', 'pausing.snapshotting', { agoMs: 9_000, host_id: 'host-b' }),
    row('retry-2', 'stranded', { agoMs: 5_000, tries: 2 }),
    row('retry-1', 'pausing.stoppingVm', { agoMs: 10, tries: 1 }),
    row('failed-2', 'failed', { agoMs: 5_000 }),
    row('failed-1', 'crashed.resting', { agoMs: 10 }),
    row('well', 'running', { agoMs: 1e9 }),
    row('paused', 'paused', { tries: null }),
  ];
  const ids = ({ stuck, retrying, failed }: ReturnType<typeof attentionTo>) => ({
    stuck: stuck.map((one) => one.row.id),
    retrying: retrying.map(({ id }) => id),
    failed: failed.map(({ id }) => id),
  });
  t.same(ids(attentionTo(rows, usual, NOW_MS)), {
    stuck: ['stuck-1', 'stuck-2'],
    retrying: ['retry-1', 'retry-2'],
    failed: ['failed-1', 'failed-2'],
  });
  t.same(ids(attentionTo(rows, usual, NOW_MS, 'host-b')), { stuck: ['stuck-1'], retrying: [], failed: [] });
});

t.test('sandboxes are counted in their state and in the one around it', async (t) => {
  const rows = [
    row('1', 'pausing.freezing'),
    row('2', 'pausing.thawing', { host_id: 'host-b' }),
    row('3', 'running'),
  ];
  const into = new Map([['left over', 7]]);
  t.same(Object.fromEntries(countStates(rows, { host: null }, into)), {
    pausing: 2,
    'pausing.freezing': 1,
    'pausing.thawing': 1,
    running: 1,
  });
  t.same(Object.fromEntries(countStates(rows, { host: 'host-b' }, into)), {
    pausing: 1,
    'pausing.thawing': 1,
  });
});

t.test('a search finds by words in any order, and says how many more there are', async (t) => {
  const rows = [
    row('sb-1', 'pausing.freezing', { agoMs: 30 }),
    row('sb-2', 'stranded', { agoMs: 20, error_code: 'DISK_BUSY', template: 'python' }),
    row('sb-3', 'running', { agoMs: 10, host_id: 'host-b' }),
  ];
  const all = { words: '', narrowing: 'all', host: null } as const;
  const ids = (search: Parameters<typeof find>[1]) =>
    find(rows, search, usual, NOW_MS).actors.map(({ id }) => id);
  t.same(ids(all), ['sb-1', 'sb-2', 'sb-3'], 'each keeps its place while others change');
  t.same(ids({ ...all, words: '  PYTHON disk_busy ' }), ['sb-2']);
  t.same(ids({ ...all, words: 'python running' }), []);
  t.same(ids({ ...all, narrowing: 'retrying' }), ['sb-2']);
  t.same(ids({ ...all, host: 'host-b' }), ['sb-3']);
  t.match(find(rows, { ...all, words: 'sb-2' }, usual, NOW_MS).actors[0], {
    kind: 'sandbox',
    errorCode: 'DISK_BUSY',
  });

  const many = Array.from({ length: LISTED_MAX + 3 }, (_, at) => row(`sb-${at}`, 'running'));
  t.equal(find(many, all, usual, NOW_MS).actors.length, LISTED_MAX);
  t.equal(find(many, all, usual, NOW_MS).more, 3);
});

t.test('a host is found with its loop registry, while nothing is narrowed', async (t) => {
  const hosts = [
    { host_id: 'host-a', state: 'ready' },
    { host_id: 'host-b', state: 'draining' },
  ] as const;
  const all = { words: '', narrowing: 'all', host: null } as const;
  const found = (search: Parameters<typeof findHosts>[1]) =>
    findHosts(hosts, search).map(({ kind, id }) => `${kind} ${id}`);
  t.same(found(all), ['host host-a', 'loop-registry host-a', 'host host-b', 'loop-registry host-b']);
  t.same(found({ ...all, words: 'loop host-b' }), ['loop-registry host-b']);
  t.same(found({ ...all, words: 'draining' }), ['host host-b']);
  t.same(found({ ...all, host: 'host-a' }).length, 2);
  t.same(found({ ...all, narrowing: 'failed' }), []);
});
