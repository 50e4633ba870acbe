import t from 'tap';
import { machineDrawing } from '../../../src/machines/drawings.ts';
import { fromTransition, isAnew, MAX_ENTRIES, merge } from '../../../src/ui/visualizer/history/entries.ts';
import { announce, explain, lastFailed } from '../../../src/ui/visualizer/history/explanation.ts';
import { durationOf, operationAt, operationsOf } from '../../../src/ui/visualizer/history/operations.ts';
import { countsOf, filtered, rowsOf } from '../../../src/ui/visualizer/history/rows.ts';
import { isFailure, rulesOf } from '../../../src/ui/visualizer/history/rules.ts';
import { timesIn } from '../../../src/ui/visualizer/history/times.ts';
import { CREATE, ERROR, FAILED_PAUSE, historyOf, REFUSAL } from './histories.ts';

const rules = rulesOf(await machineDrawing('sandbox'));

t.test('what comes twice is one entry, in order, with all that any of them said', async (t) => {
  const [first, second, third] = historyOf(...CREATE);
  t.ok(first && second && third);
  if (!first || !second || !third) return;
  const moment = { context: { tries: 1 }, ledger: [], timers: [] };
  const now = { ...second, cause: 'now', allowed: ['pause'], moment };

  t.same(merge([first], [second, third]), [first, second, third]);
  t.same(
    merge([first, third], [second, first]),
    [first, second, third],
    'what was missed is put where it belongs',
  );
  t.same(
    merge([first, second], [now]),
    [first, { ...second, allowed: ['pause'], moment }],
    'the present tells no cause',
  );
  t.same(merge([now], [second]), [{ ...second, allowed: ['pause'], moment }], 'nor in the other order');
  t.equal(merge([first], []).length, 1);
});

t.test('a refused command stands behind the transition before it, each one for itself', async (t) => {
  const [first, refused, again] = historyOf({ from: null, to: 'running', cause: 'create' }, REFUSAL, REFUSAL);
  t.ok(first && refused && again);
  if (!first || !refused || !again) return;
  t.same(merge([again, refused], [first]), [first, refused, again]);
  t.same(merge([first, refused], [refused]), [first, refused]);
});

t.test('a host that has started again counts anew', async (t) => {
  const before = historyOf(...CREATE);
  const after = before.slice(0, 2).map((entry) => ({ ...entry, at: '2026-01-02T00:00:00.000Z' }));
  t.equal(isAnew(before, after), true);
  t.equal(isAnew(before, before), false, 'what is known already');
  t.equal(isAnew(before.slice(0, 2), before.slice(2)), false, 'what goes on');
  t.equal(isAnew([], after), false);
  t.equal(isAnew(before, []), false);
});

t.test('the oldest entries go when there are too many', async (t) => {
  const [entry] = historyOf(...CREATE);
  t.ok(entry);
  if (!entry) return;
  const many = Array.from({ length: MAX_ENTRIES + 5 }, (_, index) => ({ ...entry, seq: index + 1 }));
  t.equal(merge([], many).length, MAX_ENTRIES);
  t.equal(merge([], many).at(0)?.seq, 6);
  t.equal(merge(many, [entry]).at(-1)?.seq, MAX_ENTRIES + 5);
  t.equal(merge(many, [entry]).length, MAX_ENTRIES);
});

t.test('a transition of the records is an entry as the host would tell it', async (t) => {
  const [told] = historyOf(...CREATE);
  t.ok(told);
  if (!told) return;
  const { kind, id, refused, allowed, ...shared } = told;
  const sandbox = { allowed: ['pause'] };
  const transition = { ...shared, sandbox_id: id, sandbox } as unknown as Parameters<
    typeof fromTransition
  >[0];
  t.same(fromTransition(transition), { ...told, allowed: ['pause'] });
});

t.test('operations go from rest to rest, and know where they failed', async (t) => {
  const entries = historyOf(...CREATE, REFUSAL, ...FAILED_PAUSE);
  const operations = operationsOf(entries, rules);
  t.same(operations, [
    { first: 0, last: 4, cause: 'create', failure: null, open: false },
    { first: 6, last: 10, cause: 'pause', failure: 9, open: false },
  ]);
  t.equal(
    operationAt(operations, 5),
    operations[0],
    'what was refused is looked at with the operation before',
  );
  t.equal(operationAt(operations, 8), operations[1]);
  t.equal(operationAt([], 0), undefined);
  t.equal(durationOf(operations[1]!, entries), 100);

  const [open] = operationsOf(historyOf(...FAILED_PAUSE.slice(0, 3)), rules);
  t.equal(open?.open, true, 'it is under way until it comes to a rest');
});

t.test('a step that may fail is no failure, unless its error is kept', async (t) => {
  const drain = { from: 'pausing.draining', to: 'pausing.freezing', cause: 'step.failed', error: ERROR };
  const copy = { from: 'capturing.copyingPaused', to: 'paused', cause: 'step.failed', error: ERROR };
  const moment = { context: { last_error: { code: ERROR.code } }, ledger: [], timers: [] };
  const [drained, copied, kept] = historyOf(drain, copy, { ...copy, moment });
  t.equal(drained && isFailure(drained, rules), false);
  t.equal(copied && isFailure(copied, rules), false);
  t.equal(kept && isFailure(kept, rules), true);
});

t.test('why a pause failed is told as far as it had come', async (t) => {
  const entries = historyOf(...CREATE, ...FAILED_PAUSE);
  const operations = operationsOf(entries, rules);
  const pause = operations[1]!;
  t.equal(explain(entries, pause, 7), null, 'nothing had gone wrong yet');
  t.match(explain(entries, pause, 8), { back: ['pausing.thawing'], outcome: 'pausing.thawing', open: true });
  t.match(explain(entries, pause, 9), {
    operation: 'pause',
    index: 8,
    failed: { from: 'pausing.snapshotting' },
    error: ERROR,
    back: ['pausing.thawing', 'running'],
    later: [],
    outcome: 'running',
    open: false,
  });
  t.equal(lastFailed(operations, 7), undefined);
  t.equal(lastFailed(operations, 9), pause);

  const worse = historyOf(...FAILED_PAUSE.slice(0, 4), {
    from: 'pausing.thawing',
    to: 'pausing.thawingAgain',
    cause: 'step.failed',
    error: { code: 'STEP_TIMEOUT', detail: 'too long' },
  });
  const [operation] = operationsOf(worse, rules);
  t.match(operation && explain(worse, operation, 4), {
    error: ERROR,
    later: [{ error: { code: 'STEP_TIMEOUT' } }],
  });
});

t.test('a sentence for each thing', async (t) => {
  const entries = historyOf(...CREATE, REFUSAL, ...FAILED_PAUSE);
  t.equal(announce(entries[0]!), 'now creating.disk (create)');
  t.equal(announce(entries[5]!), 'resume was refused in running');
  t.equal(announce(entries[6]!), 'running to pausing.draining (pause)');
  t.equal(
    announce(entries[9]!),
    'pausing.snapshotting failed: SNAPSHOT_FAILED no space; now pausing.thawing',
  );
});

t.test('rows have their kind, the time spent, and a bar in their operation', async (t) => {
  const entries = historyOf(...CREATE, REFUSAL, ...FAILED_PAUSE);
  const rows = rowsOf(entries, operationsOf(entries, rules), rules);
  t.same(
    rows.map(({ kind }) => kind),
    [
      'command',
      ...Array(4).fill('transition'),
      'refusal',
      'command',
      'transition',
      'transition',
      'failure',
      'transition',
    ],
  );
  t.equal(rows[0]?.spentMs, null);
  t.equal(rows[5]?.spentMs, null, 'nothing was left when a command was refused');
  t.equal(rows[6]?.spentMs, 60_010, 'a refusal does not cut the time in the state');
  t.equal(rows[6]?.bar, null, 'a rest is no part of the operation');
  t.same(rows[9]?.bar, { from: 0.3, to: 0.9 });
  t.equal(filtered(rows, 'all').length, rows.length);
  t.same(
    (['failures', 'refusals', 'commands'] as const).map((filter) =>
      filtered(rows, filter).map(({ index }) => index),
    ),
    [[9], [5], [0, 6]],
  );
  t.same(countsOf(rows), { all: rows.length, failures: 1, refusals: 1, commands: 2 });
  t.same(timesIn(rows, 'pausing.snapshotting'), { count: 1, median: 60, longest: 60 });
  t.equal(timesIn(rows, 'paused').count, 0);
});
