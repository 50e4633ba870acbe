import t from 'tap';
import { age, bytes, count, duration, mib } from '../../../src/ui/lib/format.ts';

t.test('bytes have three digits and the unit that fits', async (t) => {
  const cases: [number, string][] = [
    [0, '0 B'],
    [512, '512 B'],
    [1000, '0.98 KiB'],
    [1536, '1.50 KiB'],
    [20_480 * 1024 * 1024, '20.0 GiB'],
    [999 * 1024 * 1024, '999 MiB'],
    [1023.9 * 1024 * 1024, '1.00 GiB'],
  ];
  for (const [value, text] of cases) t.equal(bytes(value), text, String(value));
  t.equal(mib(512), '512 MiB');
  t.equal(mib(20_480), '20.0 GiB');
});

t.test('durations are never longer than nine characters', async (t) => {
  const cases: [number, string][] = [
    [0, '0 µs'],
    [0.27, '270 µs'],
    [1.14, '1.14 ms'],
    [999.4, '999 ms'],
    [999.6, '1.00 s'],
    [59_994, '60.0 s'],
    [59_996, '1 m 00 s'],
    [185_000, '3 m 05 s'],
    [7_620_000, '2 h 07 m'],
    [273_600_000, '3 d 04 h'],
  ];
  for (const [ms, text] of cases) t.equal(duration(ms), text, String(ms));
  for (let ms = 0.01; ms < 8e9; ms *= 1.07) t.ok(duration(ms).length <= 9, `${ms}: ${duration(ms)}`);
});

t.test('an age counts whole seconds, and is never before now', async (t) => {
  t.equal(age(-5_000), '0 s', 'a clock that is behind');
  t.equal(age(59_999), '59 s');
  t.equal(age(60_000), '1 m 00 s');
});

t.test('thousands have a space between them', async (t) => {
  t.equal(count(7), '7');
  t.equal(count(1_234_567), '1\u202f234\u202f567');
});
