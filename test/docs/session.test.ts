import os from 'node:os';
import t from 'tap';
import { difference, normalized, pageOf, piecesOf, runSession } from './session.ts';

const PAGE = [
  '# A page',
  '',
  '```console',
  '$ echo one; echo two',
  'one',
  'two',
  '$ x=$(printf %s \\',
  '  three)',
  '$ echo $x 42 ms',
  'three 7 ms',
  '```',
  '',
  'The end.',
  '',
].join('\n');

t.test('a page is taken apart and put together again', async (t) => {
  const pieces = piecesOf(PAGE);
  t.equal(pageOf(pieces), PAGE);
  t.throws(() => piecesOf('```console\nno command\n```'), /no command/);
});

t.test('its commands run in one shell, and what they print is compared', async (t) => {
  const steps = piecesOf(PAGE).flatMap((piece) => ('steps' in piece ? piece.steps : []));
  const printed = await runSession(
    steps.map(({ command }) => command),
    { cwd: os.tmpdir(), env: {}, prelude: '' },
  );
  t.same(printed, [['one', 'two'], [], ['three 42 ms']]);
  for (const [index, step] of steps.entries())
    t.equal(difference(step.output, printed[index] ?? []), undefined);
});

t.test('a command that prints something else, more or nothing is noticed', async (t) => {
  t.match(difference(['one'], ['two']), /the page says/);
  t.match(difference(['one'], ['one', 'more']), /more/);
  t.match(difference(['one'], []), /the page says/);
  t.match(difference([], ['error: no']), /error: no/);
  t.equal(difference(['a', '…', 'z'], ['a', 'b', 'c', 'z']), undefined);
  t.match(difference(['a', '…', 'z'], ['a', 'b', 'c']), /the page says/);
});

t.test('ids, keys, times and sizes may be others', async (t) => {
  t.equal(normalized('sb-aqwzlq2j3g3zo5y5uutk 12 MiB'), normalized('sb-bqwzlq2j3g3zo5y5uutk   3 GiB'));
  t.not(normalized('state running'), normalized('state paused'));
});
