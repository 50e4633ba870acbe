import { mkdir, truncate, writeFile } from 'node:fs/promises';
import path from 'node:path';
import fc from 'fast-check';
import t from 'tap';
import { fills, parseSuperblock, readSuperblock, type Superblock } from '../../src/images/superblock.ts';
import { debugfs, dumpe2fs, MIB, makeExt4, tempFolder } from './support.ts';

const seed = Number(process.env.DORMOUSE_TEST_SEED ?? Date.now() % 2 ** 31);
t.comment(`seed ${seed}; repeat with DORMOUSE_TEST_SEED`);

t.test('it says of a file system what dumpe2fs says', async (t) => {
  const folder = await tempFolder(t);
  const kinds: Record<string, string[]> = {
    'as it is made today': [],
    'blocks of 1 KiB': ['-b', '1024'],
    'blocks of 4 KiB': ['-b', '4096'],
    'without 64-bit block numbers': ['-O', '^64bit'],
    'without a journal': ['-O', '^has_journal'],
    ext3: ['-t', 'ext3'],
    ext2: ['-t', 'ext2'],
    'the first revision': ['-t', 'ext2', '-r', '0'],
  };
  for (const [kind, options] of Object.entries(kinds)) {
    const image = path.join(folder, 'image');
    await makeExt4(image, 32, options);
    const { fields } = await dumpe2fs(image);
    const number = (name: string): number => Number(fields.get(name));
    const superblock = await readSuperblock(image);
    t.match(
      superblock,
      {
        blockSize: number('Block size'),
        blocks: number('Block count'),
        sizeBytes: 32 * MIB,
        clean: true,
        groupBlocks: number('Blocks per group'),
        firstBlock: number('First block'),
      },
      kind,
    );
    // One block of descriptors is enough for these.
    const copies = 2 + (number('Reserved GDT blocks') || 0);
    t.equal(superblock.smallestGroupBlocks, copies + 2 + number('Inode blocks per group') + 50, kind);
  }
});

t.test('clean is what was unmounted in order, without errors, and needs no journal', async (t) => {
  const image = path.join(await tempFolder(t), 'image');
  const after = async (command: string): Promise<boolean> => {
    await makeExt4(image, 16);
    await debugfs(image, command);
    return (await readSuperblock(image)).clean;
  };
  t.equal(await after('show_super_stats -h'), true);
  t.equal(await after('set_super_value state 0'), false, 'mounted, without a journal');
  t.equal(await after('set_super_value state 2'), false, 'errors');
  t.equal(await after('set_super_value state 3'), false, 'unmounted, with errors');
  t.equal(await after('feature needs_recovery'), false, 'mounted, with a journal');
});

t.test('what is no ext4 file system is said to be none', async (t) => {
  const folder = await tempFolder(t);
  const file = path.join(folder, 'file');
  const refused = async (detail: RegExp): Promise<void> =>
    void (await t.rejects(readSuperblock(file), { code: 'DISK_FAILED', detail }));
  await refused(/could not be read \(ENOENT\)/);
  await writeFile(file, '');
  await refused(/file is no ext4 file system: it has no magic number/);
  await writeFile(file, 'text '.repeat(1000));
  await refused(/no magic number/);
  await makeExt4(file, 16);
  await truncate(file, 1024);
  await refused(/no magic number/);
  await makeExt4(file, 16);
  await debugfs(file, 'set_super_value log_block_size 12');
  await refused(/its blocks would have 2\^22 bytes/);
  await mkdir(path.join(folder, 'folder'));
  await t.rejects(readSuperblock(path.join(folder, 'folder')), { code: 'DISK_FAILED', detail: /EISDIR/ });
});

t.test('block numbers have 64 bits where the file system says so', async (t) => {
  const bytes = Buffer.alloc(1024);
  bytes.writeUInt16LE(0xef53, 0x38);
  bytes.writeUInt32LE(2, 0x18);
  bytes.writeUInt32LE(32768, 0x20);
  bytes.writeUInt32LE(7, 0x4);
  bytes.writeUInt32LE(3, 0x150);
  t.match(parseSuperblock(bytes), { blocks: 7, sizeBytes: 7 * 4096 });
  bytes.writeUInt32LE(0x80, 0x60);
  t.match(parseSuperblock(bytes), { blocks: 3 * 2 ** 32 + 7, sizeBytes: (3 * 2 ** 32 + 7) * 4096 });
  bytes.writeUInt32LE(0xffffffff, 0x150);
  t.match(parseSuperblock(bytes), /it would have \d+ blocks/);
});

t.test('bytes of any kind are a superblock that can be true, or none', async () => {
  const bytes = fc.uint8Array({ minLength: 0, maxLength: 1024 });
  fc.assert(
    fc.property(bytes, fc.boolean(), fc.integer({ min: 0, max: 8 }), (head, hasMagic, logBlockSize) => {
      const all = Buffer.alloc(1024);
      all.set(head);
      if (hasMagic) {
        all.writeUInt16LE(0xef53, 0x38);
        all.writeUInt32LE(logBlockSize, 0x18);
      }
      const found = parseSuperblock(all);
      if (typeof found === 'string') return found !== '';
      const { blocks, blockSize, sizeBytes, groupBlocks, smallestGroupBlocks } = found;
      return (
        [blocks, blockSize, sizeBytes, groupBlocks, smallestGroupBlocks].every(
          (value) => Number.isSafeInteger(value) && value > 0,
        ) && fills(found, sizeBytes)
      );
    }),
    { seed, numRuns: 500 },
  );
});

t.test('a rest that is too small for a block group is not missing', async (t) => {
  const whole: Superblock = {
    blockSize: 4096,
    blocks: 2 * 32768,
    sizeBytes: 2 * 32768 * 4096,
    clean: true,
    groupBlocks: 32768,
    firstBlock: 0,
    smallestGroupBlocks: 317,
    inodes: 16384,
    freeInodes: 16000,
    incompatibleFeatures: 0,
  };
  const restOf = (superblock: Superblock, blocks: number): boolean =>
    fills(superblock, superblock.sizeBytes + blocks * 4096);
  t.equal(restOf(whole, 0), true);
  t.equal(fills(whole, whole.sizeBytes + 4095), true, 'less than a block');
  t.equal(restOf(whole, 316), true);
  t.equal(restOf(whole, 317), false);
  t.equal(restOf(whole, 32768), false);
  const part = { ...whole, blocks: whole.blocks - 1, sizeBytes: whole.sizeBytes - 4096 };
  t.equal(restOf(part, 0), true);
  t.equal(restOf(part, 1), false, 'its last group has room');
});
