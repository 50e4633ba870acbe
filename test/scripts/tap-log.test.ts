import t from 'tap';
import { tapLog } from '../../scripts/test/tap-log.mjs';

/** What the log prints for TAP output, and what it counted. */
function read(tap: string): { printed: string[]; counts: object; complete: boolean } {
  const printed: string[] = [];
  const log = tapLog((line) => printed.push(line));
  for (const line of tap.split('\n')) log.line(line);
  return { printed, counts: log.counts, complete: log.isComplete() };
}

t.test('a file that passed is one line', async (t) => {
  const { printed, counts, complete } = read(
    ['TAP version 14', '# Subtest: test/a.test.ts', '    ok 1 - fine', '    1..1']
      .concat(['ok 1 - test/a.test.ts # time=12.5ms', '', '1..1', '# { total: 1, pass: 1 }', '# time=20ms'])
      .join('\n'),
  );
  t.same(printed, ['ok     test/a.test.ts  (12.5ms)']);
  t.same(counts, { passed: 1, failed: 0, skipped: 0 });
  t.equal(complete, true);
});

t.test('a file that failed is shown, its diagnosis included', async (t) => {
  const { printed, counts } = read(
    [
      '# Subtest: test/bad.test.ts',
      '    not ok 1 - one',
      '      ---',
      '      diff: x',
      '      ...',
      '    1..1',
    ]
      .concat(['not ok 1 - test/bad.test.ts # time=1ms', '  ---', '  exitCode: 1', '  ...'])
      .concat(['ok 2 - test/good.test.ts # time=2ms', '# { total: 4, pass: 2, fail: 1, skip: 1 }'])
      .join('\n'),
  );
  t.equal(printed[0], 'FAILED test/bad.test.ts  (1ms)');
  t.ok(printed.includes('          diff: x'));
  t.ok(printed.includes('      exitCode: 1'));
  t.equal(printed.at(-1), 'ok     test/good.test.ts  (2ms)');
  t.same(counts, { passed: 2, failed: 1, skipped: 1 });
});

t.test('of a file that failed, what passed in it is left out', async (t) => {
  const { printed } = read(
    [
      '# Subtest: test/bad.test.ts',
      '    # Subtest: one',
      '        ok 1 - fine',
      '        # a comment',
      '        1..1',
    ]
      .concat(['    ok 1 - one # time=3ms', '    ', '    # Subtest: two', '        ok 1 - fine'])
      .concat([
        '        not ok 2 - wrong',
        '          ---',
        '          diff: x',
        '          ...',
        '        1..2',
      ])
      .concat([
        '    not ok 2 - two # time=4ms',
        '    ok 3 - two',
        '    1..3',
        'not ok 1 - test/bad.test.ts # time=9ms',
      ])
      .concat(['  ---', '  exitCode: 1', '  ...', ''])
      .join('\n'),
  );
  t.same(printed, [
    'FAILED test/bad.test.ts  (9ms)',
    '    # Subtest: test/bad.test.ts',
    '        # Subtest: two',
    '            not ok 2 - wrong',
    '              ---',
    '              diff: x',
    '              ...',
    '        not ok 2 - two # time=4ms',
    '      ---',
    '      exitCode: 1',
    '      ...',
  ]);
});

t.test('details in braces belong to the result before them', async (t) => {
  const { printed } = read(
    ['ok 1 - test/a.test.ts # time=1ms {', '    ok 1 - fine', '    1..1', '}']
      .concat(['not ok 2 - test/b.test.ts # time=2ms {', '    not ok 1 - wrong', '}'])
      .join('\n'),
  );
  t.same(printed, [
    'ok     test/a.test.ts  (1ms)',
    'FAILED test/b.test.ts  (2ms)',
    '        not ok 1 - wrong',
  ]);
});

t.test('what a test says to the reader is shown, wherever it stands', async (t) => {
  const { printed } = read(
    ['# Subtest: test/a.test.ts', '    # kernel: 12 devices', '    # another comment', '    1..0']
      .concat([
        'ok 1 - test/a.test.ts # time=1ms',
        'ok 2 - test/b.test.ts # time=2ms {',
        '    # kernel: 3',
        '}',
      ])
      .join('\n'),
  );
  t.same(printed, [
    'kernel: 12 devices',
    'ok     test/a.test.ts  (1ms)',
    'kernel: 3',
    'ok     test/b.test.ts  (2ms)',
  ]);
});

t.test('what is not TAP is passed on, and an end that never came is noticed', async (t) => {
  const { printed, complete } = read('a line on standard error\nBail out! gone');
  t.same(printed, ['a line on standard error', 'Bail out! gone']);
  t.equal(complete, false);
});
