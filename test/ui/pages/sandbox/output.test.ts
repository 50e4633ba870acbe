import t from 'tap';
import type { ExecLine } from '../../../../src/ui/lib/types.ts';
import { endOf, OUTPUT_KEPT, type Piece, withLine } from '../../../../src/ui/pages/sandbox/output.ts';
import { execReply } from '../../../support/exec-reply.ts';

const printed = (...lines: ExecLine[]): Piece[] =>
  lines.reduce((pieces: Piece[], line) => withLine(pieces, line), []);

t.test('both streams stay in the order in which they came', async (t) => {
  const pieces = printed(
    { stream: 'stdout', data: 'a' },
    { stream: 'stdout', data: 'b\n' },
    { stream: 'stderr', data: 'c\n' },
    { stream: 'stdout', data: 'd' },
  );
  t.same(pieces, [
    { stream: 'stdout', text: 'ab\n' },
    { stream: 'stderr', text: 'c\n' },
    { stream: 'stdout', text: 'd' },
  ]);
});

t.test('bytes that are no text are shown as far as they are', async (t) => {
  const data = Buffer.from([0x61, 0xff, 0x62]).toString('base64');
  t.same(printed({ stream: 'stdout', data, encoding: 'base64' }), [{ stream: 'stdout', text: 'a\ufffdb' }]);
});

t.test('the end of a long output is kept', async (t) => {
  const pieces = printed(
    { stream: 'stderr', data: 'gone' },
    { stream: 'stdout', data: 'x'.repeat(OUTPUT_KEPT - 1) },
    { stream: 'stderr', data: 'end' },
  );
  t.equal(
    pieces.reduce((sum, { text }) => sum + text.length, 0),
    OUTPUT_KEPT,
  );
  t.equal(pieces[0]?.stream, 'stdout', 'a piece of which nothing is left is dropped');
  t.equal(pieces.at(-1)?.text, 'end');
});

t.test('how a program ended is said in words', async (t) => {
  const result = execReply;
  t.equal(endOf({ result }), 'exit 0');
  t.equal(endOf({ result: { ...result, exit_code: null, signal: 'SIGKILL' } }), 'ended by SIGKILL');
  t.match(endOf({ result: { ...result, timed_out: true } }), /time/);
  const error = { code: 'GUEST_REFUSED', title: '', detail: 'No such user.', status: 422 };
  t.equal(endOf({ error }), 'GUEST_REFUSED: No such user.');
});
