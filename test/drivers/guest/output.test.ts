import t from 'tap';
import { CHUNK_BYTES } from '../../../src/drivers/guest/frames.ts';
import { Gathered, Kept } from '../../../src/drivers/guest/output.ts';

type Piece = [stream: string, text: string];

function listening(): { got: Piece[]; gathered: Gathered } {
  const got: Piece[] = [];
  const gathered = new Gathered((stream, bytes) => got.push([stream, Buffer.from(bytes).toString()]));
  return { got, gathered };
}

const nextTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

t.test('what is kept is what came, whatever the pieces were', async (t) => {
  const kept = new Kept(10_000);
  const bytes = Buffer.from(Array.from({ length: 10_000 }, (_, at) => at & 0xff));
  for (let at = 0; at < bytes.length; at += 1) kept.add(at, bytes.subarray(at, at + 1));
  t.ok(kept.bytes().equals(bytes));
  t.equal(kept.bytes().buffer.byteLength, 10_000, 'it takes no more than its limit');
});

t.test('what does not follow, or is too much, is refused', async (t) => {
  const kept = new Kept(4);
  kept.add(0, Buffer.from('ab'));
  for (const [offset, text] of [
    [1, 'b'],
    [3, 'd'],
    [2, 'cde'],
  ] as const)
    t.throws(() => kept.add(offset, Buffer.from(text)), { code: 'GUEST_PROTOCOL' });
  t.equal(kept.bytes().toString(), 'ab', 'nothing of it is kept');
});

t.test('small pieces that come at once are one, in the order of the streams', async (t) => {
  const { got, gathered } = listening();
  for (const letter of 'abc') gathered.add('stdout', Buffer.from(letter));
  gathered.add('stderr', Buffer.from('!'));
  gathered.add('stdout', Buffer.from('d'));
  t.same(got, [
    ['stdout', 'abc'],
    ['stderr', '!'],
  ]);
  await nextTurn();
  t.same(got.at(-1), ['stdout', 'd'], 'nothing waits for what has not come');
  gathered.add('stdout', Buffer.from('e'));
  gathered.flush();
  t.same(got.at(-1), ['stdout', 'e']);
  await nextTurn();
  t.equal(got.length, 4, 'and is told once');
});

t.test('no piece is larger than a frame may be', async (t) => {
  const { got, gathered } = listening();
  const half = Buffer.alloc(CHUNK_BYTES / 2, 'x');
  for (let count = 0; count < 5; count += 1) gathered.add('stdout', half);
  gathered.flush();
  t.same(
    got.map(([, text]) => text.length),
    [CHUNK_BYTES, CHUNK_BYTES, CHUNK_BYTES / 2],
  );
});
