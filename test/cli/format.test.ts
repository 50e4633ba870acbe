import fc from 'fast-check';
import t from 'tap';
import { formatAge, formatBytes, formatDuration, formatMib, formatTimeLeft } from '../../src/cli/format.ts';
import { parseNdjson } from '../../src/cli/ndjson.ts';
import { listing, table } from '../../src/cli/table.ts';

const seed = Date.now() % 2 ** 31;
t.comment(`fast-check seed ${seed}`);

t.test('durations', async (t) => {
  for (const [milliseconds, text] of [
    [0.44, '0.4 ms'],
    [12.4, '12 ms'],
    [999.4, '999 ms'],
    [999.6, '1.00 s'],
    [59_990, '59.99 s'],
    [200_000, '3 min 20 s'],
  ] as const)
    t.equal(formatDuration(milliseconds), text);
});

t.test('ages and times left', async (t) => {
  const now = Date.parse('2026-01-02T00:00:00Z');
  t.equal(formatAge('2026-01-01T23:59:48Z', now), '12s');
  t.equal(formatAge('2026-01-01T23:54:30Z', now), '5m');
  t.equal(formatAge('2026-01-01T21:00:00Z', now), '3h');
  t.equal(formatAge('2025-12-24T00:00:00Z', now), '9d');
  t.equal(formatAge('2026-01-02T00:00:05Z', now), '0s', 'the other clock is ahead');
  t.equal(formatTimeLeft('2026-01-02T00:10:00Z', now), '10m');
  t.equal(formatTimeLeft('2026-01-01T00:10:00Z', now), '0s');
  t.equal(formatTimeLeft(null, now), '-');
});

t.test('sizes', async (t) => {
  for (const [mib, text] of [
    [512, '512 MiB'],
    [1023, '1023 MiB'],
    [1536, '1.5 GiB'],
    [20480, '20 GiB'],
    [3 * 1024 * 1024, '3 TiB'],
  ] as const)
    t.equal(formatMib(mib), text);
  t.equal(formatBytes(17), '17 B');
  t.equal(formatBytes(3277), '3.2 KiB');
  t.equal(formatBytes(5 * 1024 * 1024), '5 MiB');
});

t.test('tables have one line for each row, whatever is in it', async () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.string({ unit: 'binary' }), fc.string()), { minLength: 1 }), (rows) => {
      const drawn = table(['A', 'B'], rows).split('\n');
      const listed = listing(rows.map(([value]) => ['name', value])).split('\n');
      return (
        drawn.length === rows.length + 1 &&
        listed.length === rows.length &&
        // C0 and C1 control characters: what could move the cursor or draw.
        !/\p{Cc}/u.test([...drawn, ...listed].join(''))
      );
    }),
    { seed },
  );
});

async function parsed(bytes: Uint8Array, cuts: readonly number[]): Promise<unknown[]> {
  async function* parts(): AsyncGenerator<Uint8Array> {
    const ends = [...cuts.map((cut) => cut % (bytes.length + 1)), bytes.length].sort((a, b) => a - b);
    let from = 0;
    for (const end of ends) {
      yield bytes.subarray(from, end);
      from = end;
    }
  }
  const values: unknown[] = [];
  for await (const value of parseNdjson(parts())) values.push(value);
  return values;
}

t.test('lines of JSON are the same wherever the parts end', async (t) => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.jsonValue()),
      fc.array(fc.nat()),
      fc.boolean(),
      fc.constantFrom('\n', '\n\n', '\r\n'),
      async (values, cuts, isEnded, separator) => {
        const text = values.map((value) => JSON.stringify(value)).join(separator) + (isEnded ? '\n' : '');
        const read = await parsed(Buffer.from(text), cuts);
        return JSON.stringify(read) === JSON.stringify(values);
      },
    ),
    { seed },
  );
  await t.rejects(parsed(Buffer.from('{"a":1}\n{"b"'), [3]), SyntaxError, 'a line that was cut off');
});
