import { randomUUID } from 'node:crypto';
import { constants } from 'node:fs';
import { chmod, copyFile, readdir, rename, rm, stat, truncate } from 'node:fs/promises';
import { ExecaError, execa } from 'execa';
import { syncPath } from '../../durable-file.ts';
import { DormouseError, messageOf } from '../../errors/index.ts';

/** Ending of a file that is not whole yet; what a killed copy leaves has it. */
export const PARTIAL_SUFFIX = '.partial';

/** What ioctl_ficlonerange(2) and libuv answer when these two places cannot share blocks; a copy still can be made. */
const CANNOT_SHARE = new Set(['ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'ENOTTY', 'EXDEV', 'EINVAL']);
const NO_SPACE = new Set(['ENOSPC', 'EDQUOT']);
const NOT_WRITABLE = new Set(['EROFS', 'EACCES', 'EPERM']);

export interface CloneOptions {
  /** Size that the clone gets before it gets its name, in bytes. */
  sizeBytes?: number;
  /** Waits until the clone is on the disk, so that it outlives a power cut. */
  durable?: boolean;
}

/**
 * Makes sure that `to` is a copy of `from`, readable and writable by this user only. The two share their blocks where
 * the file system can (constant time, no space); elsewhere the data is copied and holes stay holes. `to` is replaced in
 * one step: a half copy never has that name.
 *
 * @throws `DISK_FULL`, `DATA_DIR_UNWRITABLE`, `DISK_FAILED`; the signal's reason when it aborts
 */
export async function cloneFile(
  from: string,
  to: string,
  signal: AbortSignal,
  options: CloneOptions = {},
): Promise<void> {
  signal.throwIfAborted();
  const partial = `${to}.${randomUUID().slice(0, 8)}${PARTIAL_SUFFIX}`;
  try {
    const isShared = await shareBlocks(from, partial);
    if (!isShared) await copySparse(from, partial, signal);
    await chmod(partial, 0o600);
    if (options.sizeBytes !== undefined) await truncate(partial, options.sizeBytes);
    // Shared blocks are on the disk already, and the log of names brings them; what was copied would be lost with the power.
    if (options.durable || !isShared) await syncPath(partial);
    signal.throwIfAborted();
    await rename(partial, to);
  } catch (error) {
    await rm(partial, { force: true }).catch(() => {});
    if (signal.aborted) throw signal.reason;
    throw diskError(`${to} could not be made from ${from}`, error);
  }
}

/**
 * Makes `to`, which must not exist, share all blocks of `from`. False when they are on different file systems or the
 * file system has no reflinks; then nothing is left. Throws the error of the file system otherwise.
 */
export async function shareBlocks(from: string, to: string): Promise<boolean> {
  try {
    await copyFile(from, to, constants.COPYFILE_FICLONE_FORCE | constants.COPYFILE_EXCL);
    return true;
  } catch (error) {
    if (!CANNOT_SHARE.has(errnoOf(error))) throw error;
    await rm(to, { force: true });
    return false;
  }
}

/** Space that the file's blocks take, in bytes. Blocks that it shares with others count in full; holes do not. */
export async function allocatedBytes(file: string): Promise<number> {
  // stat(2): st_blocks counts units of 512 bytes, whatever the block size of the file system.
  return (await stat(file)).blocks * 512;
}

/** What the folder has of a file: itself, and half copies of it that were left. Nothing when there is no folder. Throws `DISK_FAILED`. */
export async function filesOf(dir: string, file: string): Promise<string[]> {
  const names = await readdir(dir).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return [];
    throw diskError(`${dir} could not be read`, error);
  });
  return names.filter(
    (name) => name === file || (name.startsWith(`${file}.`) && name.endsWith(PARTIAL_SUFFIX)),
  );
}

/** A failure of the file system, or of a tool that worked on it, as one of ours. `what` begins the sentence for a person. */
export function diskError(what: string, error: unknown): DormouseError {
  if (error instanceof DormouseError) return error;
  const errno = errnoOf(error);
  const options = { cause: error, data: { errno } };
  if (NO_SPACE.has(errno)) return new DormouseError('DISK_FULL', `${what}: no space is left.`, options);
  if (NOT_WRITABLE.has(errno))
    return new DormouseError('DATA_DIR_UNWRITABLE', `${what}: it cannot be written (${errno}).`, options);
  return new DormouseError('DISK_FAILED', `${what} (${errno || messageOf(error)}).`, { cause: error });
}

/** coreutils' cp knows holes and how to skip them (SEEK_HOLE, copy_file_range), which Node's copy does not. */
async function copySparse(from: string, to: string, signal: AbortSignal): Promise<void> {
  await execa('cp', ['--sparse=always', '--reflink=never', '--', from, to], {
    cancelSignal: signal,
    env: { LC_ALL: 'C' },
  });
}

/** coreutils name an error only by its text, strerror(3) in the C locale. */
const ERRNO_OF_TEXT: Readonly<Record<string, string>> = {
  'No space left on device': 'ENOSPC',
  'Disk quota exceeded': 'EDQUOT',
  'Read-only file system': 'EROFS',
  'Permission denied': 'EACCES',
  'Operation not permitted': 'EPERM',
  'No such file or directory': 'ENOENT',
};

function errnoOf(error: unknown): string {
  if (error instanceof ExecaError) {
    const output = String(error.stderr ?? '');
    const text = Object.keys(ERRNO_OF_TEXT).find((known) => output.includes(known));
    return (text && ERRNO_OF_TEXT[text]) ?? '';
  }
  return (error as NodeJS.ErrnoException)?.code ?? '';
}
