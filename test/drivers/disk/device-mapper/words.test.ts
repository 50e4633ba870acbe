import fc from 'fast-check';
import t from 'tap';
import { classify } from '../../../../src/drivers/disk/device-mapper/dmsetup.ts';
import {
  deviceName,
  flatteningName,
  nodeOf,
  originName,
  ownerOf,
  uuidOf,
} from '../../../../src/drivers/disk/device-mapper/names.ts';
import {
  grownOriginTable,
  parseStatus,
  parseWithoutTable,
  snapshotTable,
} from '../../../../src/drivers/disk/device-mapper/tables.ts';
import { newSandboxId } from '../../../../src/ids.ts';

/** What is said to dmsetup and what it says: the texts are those of Debian 12 (dmsetup 1.02.185). */

t.test('what a failed command means', async (t) => {
  const failed = 'Command failed.';
  for (const [words, failure] of [
    ['device-mapper: remove ioctl on x  failed: Device or resource busy', 'busy'],
    ['device-mapper: remove ioctl on x (254:3) failed: Device or resource busy', 'busy'],
    ['device-mapper: create ioctl on x  failed: Device or resource busy', 'exists'],
    ['device-mapper: create ioctl on x3 DORMOUSE-sb failed: Device or resource busy', 'exists'],
    ['device-mapper: remove ioctl on x  failed: No such device or address', 'absent'],
    ['device-mapper: table ioctl on x  failed: No such device or address', 'absent'],
    ['Device does not exist.', 'absent'],
    ['device-mapper: reload ioctl on bad (253:0) failed: No such device or address', 'other'],
    ['device-mapper: reload ioctl on m2 (253:1) failed: No such device', 'other'],
    ['device-mapper: reload ioctl on m6 (253:0) failed: Invalid argument', 'other'],
    ['device-mapper: resume ioctl on x4  failed: Invalid argument', 'other'],
    ['Invalid format on line 1 of table .', 'other'],
    [
      '/dev/mapper/control: open failed: Permission denied\nFailure to communicate with kernel device-mapper driver.',
      'forbidden',
    ],
    [
      '/dev/mapper/control: open failed: No such device\nFailure to communicate with kernel device-mapper driver.\nCheck that device-mapper is available in the kernel.',
      'unsupported',
    ],
    ['', 'other'],
  ] as const)
    t.equal(classify(`${words}\n${failed}`), failure, words);
});

t.test('what the kernel says of snapshots', async (t) => {
  t.same(parseStatus('No devices found'), new Map());
  t.same(
    parseStatus(
      [
        'dormouse-a: 0 524288 snapshot 10032/131072 48',
        'dormouse-b: 0 524288 snapshot Invalid',
        'dormouse-c: 0 524288 snapshot Overflow ',
        'dormouse-d: 0 524288 snapshot Merge failed',
        'dormouse-a-origin: 0 131072 linear ',
      ].join('\n'),
    ),
    new Map<string, unknown>([
      [
        'dormouse-a',
        { condition: 'valid', allocatedSectors: 10032, totalSectors: 131072, metadataSectors: 48 },
      ],
      ['dormouse-b', { condition: 'Invalid' }],
      ['dormouse-c', { condition: 'Overflow' }],
      ['dormouse-d', { condition: 'Merge failed' }],
    ]),
  );
  t.match(parseStatus('0 524288 snapshot 16/131072 16').get(''), { condition: 'valid', metadataSectors: 16 });
});

t.test('which devices were never given a table', async (t) => {
  t.same(parseWithoutTable('No devices found'), []);
  const [whole, left, loaded, stranger] = [1, 2, 3, 4].map(() => deviceName(newSandboxId()));
  if (!whole || !left || !loaded || !stranger) throw new Error('there are four');
  t.same(
    parseWithoutTable(
      [
        'a b/U/b/None',
        `${left}/${uuidOf(left)}/None`,
        `${originName(left)}/${uuidOf(originName(left))}/None`,
        `${whole}/${uuidOf(whole)}/Live`,
        `${loaded}/${uuidOf(loaded)}/Inactive`,
        `${originName(whole)}/${uuidOf(originName(whole))}/Both`,
        // Of our name, but not by us.
        `${stranger}//None`,
        'vg-root/LVM-1/None',
      ].join('\n'),
    ),
    [left, originName(left)],
  );
});

t.test('tables', async (t) => {
  t.equal(snapshotTable('/dev/loop0', '/dev/loop1', 16), '0 16 snapshot /dev/loop0 /dev/loop1 PO 8\n');
  t.equal(grownOriginTable('/dev/loop0', 10, 16), '0 10 linear /dev/loop0 0\n10 6 zero\n');
});

t.test('names', async (t) => {
  fc.assert(
    fc.property(fc.constant(null), () => {
      const sandboxId = newSandboxId();
      const names = [deviceName(sandboxId), flatteningName(sandboxId)].flatMap((name) => [
        name,
        originName(name),
      ]);
      return (
        new Set(names.map(uuidOf)).size === 4 &&
        names.every((name, index) => {
          const owner = ownerOf(name);
          return owner?.sandboxId === sandboxId && owner.temporary === index >= 2;
        })
      );
    }),
    { numRuns: 20 },
  );
  t.equal(ownerOf('dormouse-sb-short'), undefined);
  t.equal(ownerOf('dormouse-0'), undefined);
  t.equal(ownerOf('vg-root'), undefined);
  t.equal(nodeOf('dormouse-x'), '/dev/mapper/dormouse-x');
});
