import t from 'tap';
import { lineReader } from '../../../src/ui/lib/lines.ts';

t.test('lines come whole, however a text is cut', async (t) => {
  const text = '{"a":1}\n\n{"b":2}\n{"c":3}';
  for (let size = 1; size <= text.length; size += 1) {
    const lines: string[] = [];
    const reader = lineReader((line) => lines.push(line));
    for (let at = 0; at < text.length; at += size) reader.take(text.slice(at, at + size));
    t.notOk(lines.includes('{"c":3}'), 'the last one may go on');
    reader.end();
    t.same(lines, ['{"a":1}', '{"b":2}', '{"c":3}'], `pieces of ${size}`);
  }
});
