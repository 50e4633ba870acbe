import { ExecaError, execa } from 'execa';
import { findProgram } from '../embedded/child.ts';
import { DormouseError } from '../errors/index.ts';

/** e2fsck and resize2fs on an image that nobody has mounted. */

/**
 * e2fsck(8): the exit status is a sum. 1: errors were corrected; 2: also, and a system that has it mounted should boot
 * again. From 4 on something was left wrong, or was not done.
 */
const E2FSCK_CORRECTED = 1 | 2;

/**
 * resize2fs marks the inode tables of new groups as zeroed only after writing zeros to them, which would take the space
 * that the image is sparse to save. It does so where the host's kernel has no ext4 (adjust_fs_info in e2fsprogs'
 * resize/resize2fs.c looks into /sys/fs/ext4), so it is told not to. `discardUnused` sets the mark afterwards.
 */
const RESIZE2FS_ENVIRONMENT = { RESIZE2FS_FORCE_LAZY_ITABLE_INIT: '1' };

/** As much of a tool's output as an error keeps. */
const OUTPUT_CHARACTERS = 2000;

export interface CheckOptions {
  /**
   * Makes holes of the blocks that no file has, and of inode tables as far as they are unused, and marks those as zeroed
   * (check_inode_bitmaps in e2fsprogs' e2fsck/pass5.c: a hole of a file reads as zeros). Otherwise every guest that
   * mounts a clone would zero the tables in the background (ext4's lazy init). e2fsck does none of it when it found an
   * error, so check before.
   */
  discardUnused?: boolean;
}

/**
 * Checks the file system in the image, replays its journal and repairs what it can.
 *
 * @throws `DISK_FAILED` when errors are left; `DISK_FULL`, `DEPENDENCY_MISSING`; the signal's reason when it aborts
 */
export async function checkFileSystem(
  imagePath: string,
  signal: AbortSignal,
  { discardUnused = false }: CheckOptions = {},
): Promise<void> {
  const discard = discardUnused ? ['-E', 'discard'] : [];
  await runTool('e2fsck', ['-fy', ...discard, imagePath], { signal, allowedBits: E2FSCK_CORRECTED });
}

/**
 * Makes the file system in the image as large as the file, or as small as its content allows (approximately). It must
 * have been checked just before, else resize2fs refuses.
 *
 * @throws `DISK_FAILED`, `DISK_FULL`, `DEPENDENCY_MISSING`; the signal's reason when it aborts
 */
export async function resizeFileSystem(
  imagePath: string,
  to: 'file' | 'content',
  signal: AbortSignal,
): Promise<void> {
  const least = to === 'content' ? ['-M'] : [];
  await runTool('resize2fs', [...least, imagePath], { signal, env: RESIZE2FS_ENVIRONMENT });
}

/**
 * Writes the blocks that the file system uses to a new sparse file, at their places (e2image(8), `-ra`). What no file has is not even
 * read, so it takes as long as the content is large, not the disk. The file system must have been checked just before: what stands
 * in the journal only counts as unused.
 *
 * @throws `DISK_FAILED`, `DISK_FULL`, `DEPENDENCY_MISSING`; the signal's reason when it aborts
 */
export async function copyUsedBlocks(fromPath: string, toPath: string, signal: AbortSignal): Promise<void> {
  await runTool('e2image', ['-ra', fromPath, toPath], { signal });
}

interface RunOptions {
  signal: AbortSignal;
  env?: Readonly<Record<string, string>>;
  /** Bits of the exit status that are no failure. */
  allowedBits?: number;
}

async function runTool(name: string, args: readonly string[], options: RunOptions): Promise<void> {
  const { signal, env = {}, allowedBits = 0 } = options;
  signal.throwIfAborted();
  const program = await findProgram(name, 'e2fsprogs');
  try {
    await execa(program, args, {
      cancelSignal: signal,
      // The image is thrown away then, so there is nothing to end in order.
      killSignal: 'SIGKILL',
      stdin: 'ignore',
      all: true,
      env: { LC_ALL: 'C', ...env },
    });
  } catch (error) {
    if (signal.aborted) throw signal.reason;
    if (!(error instanceof ExecaError)) throw error;
    const { exitCode } = error;
    if (exitCode !== undefined && (exitCode & ~allowedBits) === 0) return;
    const output = String(error.all ?? '').trim() || error.shortMessage;
    const code = /no space left|quota exceeded/i.test(output) ? 'DISK_FULL' : 'DISK_FAILED';
    const how = exitCode === undefined ? 'without an exit status' : `with exit status ${exitCode}`;
    throw new DormouseError(code, `${name} on the image ${args.at(-1)} ended ${how}.`, {
      data: { command: [name, ...args], output: output.slice(-OUTPUT_CHARACTERS) },
      cause: error,
    });
  }
}
