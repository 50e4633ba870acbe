import { stat } from 'node:fs/promises';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import { execa } from 'execa';
import t from 'tap';
import type { ImportLimits } from '../../../src/images/import/index.ts';
import { MIB } from '../support.ts';
import { type Importer, type Item, importer, needsRoot, SHELL, tarOf } from './support.ts';

const OUTSIDE = '../canary';

interface Refusal {
  items: Item[];
  reason: string;
  /** What the error names. */
  entry?: string;
  limits?: Partial<ImportLimits>;
}

const REFUSALS: Record<string, Refusal> = {
  'a name with ..': { items: [{ name: OUTSIDE, content: 'x' }], reason: 'path-escape', entry: OUTSIDE },
  'a name with .. in it': {
    items: [{ name: 'a/../../b', content: 'x' }],
    reason: 'path-escape',
    entry: 'a/../../b',
  },
  'an absolute name with ..': {
    items: [{ name: '/../x', content: 'x' }],
    reason: 'path-escape',
    entry: '/../x',
  },
  'a name with .. of a PAX header': {
    items: [{ name: 'harmless', content: 'x', pax: { path: OUTSIDE } }],
    reason: 'path-escape',
    entry: OUTSIDE,
  },
  'a name that sparse files of PAX have, which other readers ignore': {
    items: [
      {
        name: 'harmless',
        content: '0\n'.padEnd(512, '\0'),
        pax: {
          'GNU.sparse.major': '1',
          'GNU.sparse.minor': '0',
          'GNU.sparse.name': OUTSIDE,
          'GNU.sparse.realsize': '0',
        },
      },
    ],
    reason: 'path-escape',
    entry: OUTSIDE,
  },
  'a file through an absolute symlink': {
    items: [
      { name: 'out', type: 'symlink', linkname: '/tmp' },
      { name: 'out/file', content: 'x' },
    ],
    reason: 'through-symlink',
    entry: 'out/file',
  },
  'a file through a relative symlink, deeper': {
    items: [
      { name: 'a/out', type: 'symlink', linkname: '../../..' },
      { name: './a//out/b/c', content: 'x' },
    ],
    reason: 'through-symlink',
    entry: './a//out/b/c',
  },
  'a file through a symlink that stays inside': {
    items: [
      { name: 'lib', type: 'symlink', linkname: 'usr/lib' },
      { name: 'lib/file', content: 'x' },
    ],
    reason: 'through-symlink',
    entry: 'lib/file',
  },
  'a symlink that becomes a folder': {
    items: [
      { name: 'out', type: 'symlink', linkname: '/tmp' },
      { name: 'out', type: 'directory' },
      { name: 'out/file', content: 'x' },
    ],
    reason: 'twice',
    entry: 'out',
  },
  'a folder that becomes a symlink': {
    items: [
      { name: 'out', type: 'directory' },
      { name: 'out', type: 'symlink', linkname: '/tmp' },
    ],
    reason: 'twice',
    entry: 'out',
  },
  'a file below a file': {
    items: [
      { name: 'a', content: 'x' },
      { name: 'a/b', content: 'x' },
    ],
    reason: 'not-in-a-folder',
    entry: 'a/b',
  },
  // tar leaves out `../` in front, so it would be a link to a file inside.
  'a hard link to a file outside': {
    items: [{ name: 'l', type: 'link', linkname: OUTSIDE }],
    reason: 'hard-link',
    entry: 'l',
  },
  'a hard link to a file outside, by a way through the inside': {
    items: [
      { name: 'd', type: 'directory' },
      { name: 'l', type: 'link', linkname: `d/../${OUTSIDE}` },
    ],
    reason: 'hard-link',
    entry: 'l',
  },
  'a hard link to an absolute name that is no file of the archive': {
    items: [{ name: 'l', type: 'link', linkname: '/etc/passwd' }],
    reason: 'hard-link',
    entry: 'l',
  },
  'a hard link to a later file': {
    items: [
      { name: 'l', type: 'link', linkname: 'later' },
      { name: 'later', content: 'x' },
    ],
    reason: 'hard-link',
    entry: 'l',
  },
  'a hard link to a folder': {
    items: [
      { name: 'd', type: 'directory' },
      { name: 'l', type: 'link', linkname: 'd' },
    ],
    reason: 'hard-link',
    entry: 'l',
  },
  'a hard link to a symlink': {
    items: [
      { name: 's', type: 'symlink', linkname: '/etc/passwd' },
      { name: 'l', type: 'link', linkname: 's' },
    ],
    reason: 'hard-link',
    entry: 'l',
  },
  'a hard link through a symlink': {
    items: [
      { name: 's', type: 'symlink', linkname: '/etc' },
      { name: 'l', type: 'link', linkname: 's/passwd' },
    ],
    reason: 'through-symlink',
    entry: 'l',
  },
  'a block device': {
    items: [{ name: 'opt/disk', type: 'block-device', devmajor: 8, devminor: 0 }],
    reason: 'device',
    entry: 'opt/disk',
  },
  'a character device': {
    items: [{ name: 'developer/null', type: 'character-device', devmajor: 1, devminor: 3 }],
    reason: 'device',
    entry: 'developer/null',
  },
  'a device to leave out whose name ends in a space': {
    items: [{ name: 'dev/null ', type: 'character-device', devmajor: 1, devminor: 3 }],
    reason: 'name',
    entry: 'dev/null ',
  },
  'a file without a name': {
    items: [{ name: './', type: 'symlink', linkname: 'x' }],
    reason: 'name',
    entry: './',
  },
  'a name of 256 bytes': {
    items: [{ name: `a/${'n'.repeat(256)}`, content: 'x' }],
    reason: 'name',
    entry: `a/${'n'.repeat(198)}…`,
  },
  'a path of more than 4096 bytes': {
    items: [{ name: 'folder/'.repeat(600), content: 'x' }],
    reason: 'name',
    entry: `${'folder/'.repeat(28)}fold…`,
  },
  'a name of a million bytes': {
    items: [{ name: 'n'.repeat(1_000_000), content: 'x' }],
    reason: 'name',
  },
  'names that are too long together': {
    items: ['a', 'b', 'c', 'd'].map((name) => ({ name: name.repeat(100), content: 'x' })),
    reason: 'too-many-entries',
    entry: 'd'.repeat(100),
    limits: { namesBytes: 350 },
  },
  'a file with the name of a device that is left out': {
    items: [
      { name: 'dev/null', type: 'character-device', devmajor: 1, devminor: 3 },
      { name: 'dev/null', content: 'x' },
    ],
    reason: 'twice',
    entry: 'dev/null',
  },
  'a file below a device that is left out': {
    items: [
      { name: 'dev/a/b', content: 'x' },
      { name: 'dev/a', type: 'character-device', devmajor: 1, devminor: 3 },
    ],
    reason: 'not-in-a-folder',
    entry: 'dev/a/b',
  },
  'a symlink to nothing': {
    items: [{ name: 's', type: 'symlink', linkname: '' }],
    reason: 'symlink',
    entry: 's',
  },
  'a symlink to a name of 5000 bytes': {
    items: [{ name: 's', type: 'symlink', linkname: 'x'.repeat(5000) }],
    reason: 'symlink',
    entry: 's',
  },
  'too many files': {
    items: ['a', 'b', 'c', 'd'].map((name) => ({ name, content: 'x' })),
    reason: 'too-many-entries',
    entry: 'd',
    limits: { entries: 4 },
  },
  'too many folders that no entry names': {
    items: [{ name: 'a/b/c/d/e/f', content: 'x' }],
    reason: 'too-many-entries',
    entry: 'a/b/c/d/e/f',
    limits: { entries: 6 },
  },
  'too many bytes, of a sparse file that says so': {
    items: [
      {
        name: 'sparse',
        content: '0\n'.padEnd(512, '\0'),
        pax: {
          'GNU.sparse.major': '1',
          'GNU.sparse.minor': '0',
          'GNU.sparse.name': 'huge',
          'GNU.sparse.realsize': String(2 ** 40),
        },
      },
    ],
    reason: 'too-large',
    entry: 'huge',
  },
};

/** Builds what has to be refused, and looks that nothing came of it. */
async function isRefused(
  t: Tap,
  { build, left, imagePath }: Importer,
  source: Buffer | string,
  expected: { reason: string; entry?: string },
  changes: Parameters<Importer['build']>[1] = {},
): Promise<void> {
  await t.rejects(build(source, changes), { code: 'TEMPLATE_INVALID', data: expected });
  t.same(await left(), [], 'nothing is left, nothing outside was changed');
  await t.rejects(stat(imagePath), { code: 'ENOENT' });
}
type Tap = Pick<typeof t, 'rejects' | 'same' | 'test' | 'teardown'>;

t.test('what an archive may not have is named, and nothing comes of it', needsRoot, async (t) => {
  for (const [what, { items, reason, entry, limits }] of Object.entries(REFUSALS))
    await t.test(what, async (t) => {
      const expected = { reason, ...(entry === undefined ? {} : { entry }) };
      await isRefused(
        t,
        await importer(t),
        await tarOf([SHELL, ...items]),
        expected,
        limits ? { limits } : {},
      );
    });
});

t.test('a file that is no archive, or half of one', needsRoot, async (t) => {
  const archive = await tarOf([SHELL, { name: 'large', content: Buffer.alloc(MIB, 'x') }]);
  const compressed = gzipSync(archive);
  const damaged = Buffer.from(compressed);
  damaged.writeUInt32LE(0, damaged.length - 8);
  const badSum = Buffer.from(archive);
  badSum[148] = 0x39;
  const sources: Array<[string, Buffer, string]> = [
    ['empty', Buffer.alloc(0), 'empty'],
    ['text', Buffer.from('hello'), 'unknown-format'],
    ['zeros', Buffer.alloc(10240), 'unknown-format'],
    ['compressed zeros', gzipSync(Buffer.alloc(10240)), 'empty'],
    ['compressed text', zstdCompressSync(Buffer.from('hello')), 'unreadable'],
    ['cut off in a header', archive.subarray(0, 700), 'unreadable'],
    ['cut off in a file', archive.subarray(0, MIB / 2), 'unreadable'],
    ['wrong checksum of a header', badSum, 'unreadable'],
    ['gzip, cut off', compressed.subarray(0, -20), 'unreadable'],
    ['gzip, wrong checksum of all, behind the end of the archive', damaged, 'unreadable'],
    ['zstd, cut off', zstdCompressSync(archive).subarray(0, -5), 'unreadable'],
    ['xz, cut off', (await xz(archive)).subarray(0, -5), 'unreadable'],
    ['no shell', await tarOf([{ name: 'etc/passwd', content: 'x' }]), 'no-shell'],
    [
      'a shell that is a link to itself',
      await tarOf([{ name: 'bin/sh', type: 'symlink', linkname: 'sh' }]),
      'no-shell',
    ],
    [
      'a shell that is a link to nothing',
      await tarOf([{ name: 'bin/sh', type: 'symlink', linkname: '/bin/dash' }]),
      'no-shell',
    ],
    [
      'a link where the kernel mounts devices',
      await tarOf([SHELL, { name: 'dev', type: 'symlink', linkname: '/tmp' }]),
      'not-in-a-folder',
    ],
  ];
  for (const [what, source, reason] of sources)
    await t.test(what, async (t) => isRefused(t, await importer(t), source, { reason }));
});

async function xz(bytes: Buffer): Promise<Buffer> {
  return Buffer.from((await execa('xz', ['--stdout'], { input: bytes, encoding: 'buffer' })).stdout);
}

t.test('a bomb is stopped while it unfolds', needsRoot, async (t) => {
  const zeros = await tarOf([SHELL, { name: 'zeros', content: Buffer.alloc(112 * MIB) }]);
  const bomb = gzipSync(zeros);
  t.ok(bomb.length < MIB, `${bomb.length} bytes`);
  await isRefused(t, await importer(t), bomb, { reason: 'ratio' });
  const limits = { ratio: 1e6, bytes: 8 * MIB };
  await isRefused(t, await importer(t), bomb, { reason: 'too-large', entry: 'zeros' }, { limits });
  await isRefused(
    t,
    await importer(t),
    await xz(zeros.subarray(0, 64 * MIB)),
    { reason: 'ratio' },
    {
      limits: { ratioFromBytes: MIB },
    },
  );
});

t.test('a header that claims to be of 8 GiB takes no such memory', needsRoot, async (t) => {
  const [header] = await Promise.all([tarOf([SHELL])]);
  const huge = Buffer.from(header.subarray(0, 512));
  huge.write('x', 156);
  huge.write('77777777777', 124);
  huge.write('        ', 148);
  huge.write(
    `${huge
      .reduce((sum, byte) => sum + byte, 0)
      .toString(8)
      .padStart(6, '0')}\0 `,
    148,
  );
  await isRefused(t, await importer(t), Buffer.concat([huge, Buffer.alloc(MIB)]), { reason: 'unreadable' });
});

t.test('devices, pipes and links to them below /dev are left out and told', needsRoot, async (t) => {
  const { build, left } = await importer(t);
  const source = await tarOf([
    SHELL,
    { name: './dev/', type: 'directory' },
    { name: './dev/null', type: 'character-device', devmajor: 1, devminor: 3 },
    { name: '/dev/disk', type: 'block-device', devmajor: 8, devminor: 0 },
    { name: 'dev/initctl', type: 'fifo' },
    { name: 'dev/zero', type: 'link', linkname: './dev/null' },
    { name: 'dev/core', type: 'symlink', linkname: '/proc/kcore' },
    { name: 'dev/console', content: '' },
    // What comes behind the end of an archive is not looked at.
  ]);
  const built = await build(Buffer.concat([source, Buffer.alloc(4 * MIB, 'rubbish')]));
  t.same(built.leftOut, [
    'dev/null (device)',
    'dev/disk (device)',
    'dev/initctl (fifo)',
    'dev/zero (hard link)',
  ]);
  t.same(await left(), []);
});
