import fc from 'fast-check';
import t from 'tap';
import { kernelUsers, parseTables, sysfsUsers } from '../../../src/actors/loop-registry/users.ts';
import { attachReadOnly } from '../../../src/drivers/loop/losetup.ts';
import { imageFolder } from './support.ts';

const seed = Number(process.env.DORMOUSE_TEST_SEED ?? Date.now() % 2 ** 31);
t.comment(`seed ${seed}; repeat with DORMOUSE_TEST_SEED`);
const { signal } = new AbortController();

t.test('what dmsetup lists', async (t) => {
  t.same(parseTables('No devices found\n'), []);
  t.same(
    parseTables(
      [
        'sb-1: 0 524288 snapshot 7:1 7:0 P 8',
        'plain: 0 8 linear 254:0 7',
        'grown: 0 8192 linear 7:2 0',
        'grown: 8192 100 zero ',
        'a: b: 0 8 linear 7:12 0',
        '',
      ].join('\n'),
    ),
    [
      ['/dev/loop1', 'sb-1'],
      ['/dev/loop0', 'sb-1'],
      ['/dev/loop2', 'grown'],
      ['/dev/loop12', 'a: b'],
    ],
  );
  const users = fc.array(
    fc.record({
      name: fc.stringMatching(/^[A-Za-z0-9#+.:=@_-]{1,127}$/),
      loops: fc.uniqueArray(fc.nat(1000), { maxLength: 4 }),
      sectors: fc.nat(),
    }),
  );
  fc.assert(
    fc.property(users, (devices) => {
      const text = devices
        .map(
          ({ name, loops, sectors }) =>
            `${name}: 0 ${sectors} snapshot ${loops.map((n) => `7:${n}`).join(' ')} PO 8\n`,
        )
        .join('');
      const expected = devices.flatMap(({ name, loops }) => loops.map((n) => [`/dev/loop${n}`, name]));
      return JSON.stringify(parseTables(text)) === JSON.stringify(expected);
    }),
    { seed },
  );
});

t.test('a loop that nothing stands on has no users', async (t) => {
  const images = await imageFolder(t);
  const device = await attachReadOnly(await images.image('a.img'), signal);
  t.notOk((await kernelUsers(signal)).has(device));
  t.notOk((await sysfsUsers(signal)).has(device));
});
