import { rm } from 'node:fs/promises';
import { ExecaError, execa } from 'execa';
import { findProgram } from '../../embedded/child.ts';
import { DormouseError } from '../../errors/index.ts';
import { BLOCK_BYTES, JOURNAL_MB, mke2fsOptions } from '../mke2fs.ts';
import { shrinkImage } from '../sizes.ts';
import type { TreeMeasure } from './file-tree.ts';

const MIB = 2 ** 20;
const INODE_BYTES = 256;
/** Inodes of a file system that no file has (Documentation/filesystems/ext4/special_inodes.rst). */
const RESERVED_INODES = 11;
/** What the sizes of files do not tell: descriptors, bitmaps, blocks of attributes and of extents. */
const OVERHEAD = 1.05;
const SLACK_BYTES = 16 * MIB;
/** How much larger each next try is, and how many there are. */
const GROWTH = 1.5;
const TRIES = 4;
/** From few to many files: bytes for each inode. The first is that of a large file system, mke2fs.conf(5). */
const BYTES_PER_INODE = [16384, 8192, 4096] as const;

/**
 * Makes an image with the content of the folder, as small as that allows, and writes it to the disk.
 *
 * @param root the folder; mke2fs takes owners, modes, attributes and holes from it
 * @param imagePath a new file, which is to be thrown away when this fails
 * @throws `DISK_FULL`, `DISK_FAILED`, `DATA_DIR_UNWRITABLE`, `DEPENDENCY_MISSING`; the signal's reason when it aborts
 */
export async function makeImage(
  root: string,
  content: TreeMeasure,
  imagePath: string,
  signal: AbortSignal,
): Promise<void> {
  const mke2fs = await findProgram('mke2fs', 'e2fsprogs');
  const { bytes, bytesPerInode } = imageSize(content);
  const options = mke2fsOptions({ label: 'rootfs', bytesPerInode });
  let sizeBytes = bytes;
  for (let attempt = 1; ; attempt++) {
    signal.throwIfAborted();
    try {
      const sizeKib = `${Math.ceil(sizeBytes / 1024)}k`;
      await execa(mke2fs, [...options, '-d', root, imagePath, sizeKib], {
        cancelSignal: signal,
        killSignal: 'SIGKILL',
        stdin: 'ignore',
        env: { LC_ALL: 'C' },
      });
      break;
    } catch (error) {
      if (signal.aborted) throw signal.reason;
      if (!(error instanceof ExecaError)) throw error;
      await rm(imagePath, { force: true });
      const output = String(error.stderr ?? '');
      if (attempt < TRIES && isTooSmall(output)) {
        sizeBytes = Math.ceil(sizeBytes * GROWTH);
        continue;
      }
      const code = /no space left|quota exceeded/i.test(output) ? 'DISK_FULL' : 'DISK_FAILED';
      throw new DormouseError(code, `The file system of ${sizeBytes} bytes could not be made by mke2fs.`, {
        data: { output: output.slice(-2000) },
        cause: error,
      });
    }
  }
  await shrinkImage(imagePath, signal);
}

/** The size that the file system is made with, in bytes, and how dense its inodes are. Holes cost nothing. */
export function imageSize({ entries, blockBytes }: TreeMeasure): { bytes: number; bytesPerInode: number } {
  const inodes = Math.ceil(entries * OVERHEAD) + RESERVED_INODES;
  const content = (blockBytes + inodes * INODE_BYTES) * OVERHEAD + JOURNAL_MB * MIB + SLACK_BYTES;
  const dense = BYTES_PER_INODE.find((bytes) => inodes * bytes <= content) ?? BYTES_PER_INODE[2];
  const bytes = Math.max(content, inodes * dense);
  return { bytes: Math.ceil(bytes / BLOCK_BYTES) * BLOCK_BYTES, bytesPerInode: dense };
}

/** What mke2fs says when the file system is full, as opposed to the disk that it is on. */
function isTooSmall(output: string): boolean {
  return /could not allocate (block|inode) in ext2 filesystem|no free space|too small/i.test(output);
}
