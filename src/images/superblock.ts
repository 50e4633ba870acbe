import { open } from 'node:fs/promises';
import { diskError } from '../drivers/disk/files.ts';
import { DormouseError } from '../errors/index.ts';

/**
 * The superblock of an ext4 file system (or of its forebears ext2 and ext3, which the kernel mounts as ext4). Offsets,
 * flags and the layout: Documentation/filesystems/ext4/super.rst of Linux.
 */
export interface Superblock {
  /** Bytes in a block. */
  blockSize: number;
  /** Blocks of the whole file system. */
  blocks: number;
  /** Blocks of the whole file system, in bytes. */
  sizeBytes: number;
  /** Unmounted in order, without known errors, and with nothing in the journal that has to be written first. */
  clean: boolean;
  /** Blocks in a block group; the last one may have fewer. */
  groupBlocks: number;
  /** Blocks before the first group: 1 where a block has 1 KiB, else 0. */
  firstBlock: number;
  /** Blocks that a further group takes for itself. resize2fs adds none that is smaller. */
  smallestGroupBlocks: number;
  /** All inodes, and those that nothing has. */
  inodes: number;
  freeInodes: number;
  /** Flags of features without which it cannot be mounted (s_feature_incompat). */
  incompatibleFeatures: number;
}

const SUPERBLOCK_OFFSET = 1024;
const SUPERBLOCK_BYTES = 1024;
const MAGIC = 0xef53;
/** A block has 1 KiB to 64 KiB. */
const LOG_BLOCK_SIZE_MAX = 6;

/** s_state: unmounted in order; errors detected. resize2fs sets the second one while it works. */
const STATE_VALID = 0x0001;
const STATE_ERRORS = 0x0002;
/** s_feature_incompat: the journal has to be replayed; block numbers have 64 bits. */
const INCOMPAT_RECOVER = 0x0004;
const INCOMPAT_64BIT = 0x0080;

/** s_desc_size and s_inode_size where the superblock has none (not 64bit; revision 0). */
const GROUP_DESCRIPTOR_BYTES = 32;
const INODE_BYTES = 128;
/** What adjust_fs_info of e2fsprogs' resize/resize2fs.c wants in the last group beside its bookkeeping. */
const LAST_GROUP_SPARE_BLOCKS = 50;

/**
 * Reads the superblock of an image.
 *
 * @throws `DISK_FAILED` when the file cannot be read, is no ext4 file system, or has a superblock that cannot be true
 */
export async function readSuperblock(imagePath: string): Promise<Superblock> {
  const bytes = Buffer.alloc(SUPERBLOCK_BYTES);
  try {
    const file = await open(imagePath, 'r');
    try {
      // What is missing in a file that is shorter stays zero, which is no magic number.
      await file.read(bytes, 0, SUPERBLOCK_BYTES, SUPERBLOCK_OFFSET);
    } finally {
      await file.close();
    }
  } catch (error) {
    throw diskError(`The image ${imagePath} could not be read`, error);
  }
  const superblock = parseSuperblock(bytes);
  if (typeof superblock === 'string')
    throw new DormouseError('DISK_FAILED', `The image ${imagePath} is no ext4 file system: ${superblock}.`, {
      data: { image: imagePath },
    });
  return superblock;
}

/** The superblock in these 1024 bytes; as a text, why they are none. */
export function parseSuperblock(bytes: Buffer): Superblock | string {
  if (bytes.length < SUPERBLOCK_BYTES || bytes.readUInt16LE(0x38) !== MAGIC)
    return 'it has no magic number where the superblock should be';
  const logBlockSize = bytes.readUInt32LE(0x18);
  const groupBlocks = bytes.readUInt32LE(0x20);
  const firstBlock = bytes.readUInt32LE(0x14);
  const incompat = bytes.readUInt32LE(0x60);
  const has64Bit = (incompat & INCOMPAT_64BIT) !== 0;
  // Below 2^53 in every file system whose blocks a file can hold (2^63 bytes).
  const blocks = bytes.readUInt32LE(0x4) + (has64Bit ? bytes.readUInt32LE(0x150) * 2 ** 32 : 0);
  const blockSize = 1024 * 2 ** logBlockSize;
  const sizeBytes = blocks * blockSize;
  if (logBlockSize > LOG_BLOCK_SIZE_MAX) return `its blocks would have 2^${10 + logBlockSize} bytes`;
  if (groupBlocks === 0 || blocks <= firstBlock || !Number.isSafeInteger(sizeBytes))
    return `it would have ${blocks} blocks, in groups of ${groupBlocks}`;

  const inodeBytes = bytes.readUInt16LE(0x58) || INODE_BYTES;
  const descriptorBytes = (has64Bit && bytes.readUInt16LE(0xfe)) || GROUP_DESCRIPTOR_BYTES;
  const inodeTable = Math.ceil((bytes.readUInt32LE(0x28) * inodeBytes) / blockSize);
  const groups = Math.ceil((blocks - firstBlock) / groupBlocks);
  const descriptors = Math.ceil((groups * descriptorBytes) / blockSize);
  const reservedDescriptors = bytes.readUInt16LE(0xce);
  const state = bytes.readUInt16LE(0x3a);
  return {
    blockSize,
    blocks,
    sizeBytes,
    clean: (state & (STATE_VALID | STATE_ERRORS)) === STATE_VALID && (incompat & INCOMPAT_RECOVER) === 0,
    groupBlocks,
    firstBlock,
    // A copy of the superblock and of the descriptors, two bitmaps, and the inode table.
    smallestGroupBlocks: 1 + descriptors + reservedDescriptors + 2 + inodeTable + LAST_GROUP_SPARE_BLOCKS,
    inodes: bytes.readUInt32LE(0x0),
    freeInodes: bytes.readUInt32LE(0x10),
    incompatibleFeatures: incompat,
  };
}

/**
 * True when the file system takes all that it can of a file of that many bytes: what is left is less than a block, or
 * behind the last whole group and too little for another one.
 */
export function fills(superblock: Superblock, fileBytes: number): boolean {
  const { blocks, blockSize, firstBlock, groupBlocks, smallestGroupBlocks } = superblock;
  const leftBlocks = Math.floor(fileBytes / blockSize) - blocks;
  if (leftBlocks <= 0) return true;
  return (blocks - firstBlock) % groupBlocks === 0 && leftBlocks < smallestGroupBlocks;
}
