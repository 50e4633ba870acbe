import fc from 'fast-check';
import t from 'tap';
import { LineSplitter } from '../src/line-splitter.ts';

t.test('lines do not depend on how the bytes are cut', async (t) => {
  const seed = Date.now() & 0xffff;
  t.comment(`seed ${seed}`);
  fc.assert(
    fc.property(
      fc.array(fc.string({ unit: 'grapheme' }).map((line) => line.replaceAll('\n', ' '))),
      fc.array(fc.nat(64)),
      (lines, cuts) => {
        const bytes = Buffer.from(lines.map((line) => `${line}\n`).join(''));
        const splitter = new LineSplitter(4096);
        const found: string[] = [];
        let from = 0;
        for (const length of [...cuts, bytes.length]) {
          found.push(...splitter.push(bytes.subarray(from, from + length)));
          from += length;
        }
        t.same(found, lines);
      },
    ),
    { seed },
  );
});

t.test('a line that is too long is refused before it is kept', async (t) => {
  const splitter = new LineSplitter(8);
  t.same(splitter.push(Buffer.from('12345678\n1234')), ['12345678']);
  t.throws(() => splitter.push(Buffer.from('56789')), RangeError);
});
