import { syncPath } from '../durable-file.ts';
import { hasCode } from '../errors/index.ts';
import { checkFileSystem, copyUsedBlocks } from './ext4-tools.ts';
import { readSuperblock } from './superblock.ts';

/**
 * Copies the ext4 file system on a device or in a file to a new sparse file, durably, reading only what it uses. It is checked and
 * its journal is replayed first, in place: nobody else may look at it.
 *
 * @returns false, and nothing is done, when there is no ext4 file system
 * @throws `DISK_FAILED`, `DISK_FULL`, `DEPENDENCY_MISSING`; the signal's reason when it aborts
 */
export async function copyFileSystem(
  fromPath: string,
  toPath: string,
  signal: AbortSignal,
): Promise<boolean> {
  try {
    await readSuperblock(fromPath);
  } catch (error) {
    if (hasCode(error, 'DISK_FAILED')) return false;
    throw error;
  }
  await checkFileSystem(fromPath, signal);
  await copyUsedBlocks(fromPath, toPath, signal);
  await syncPath(toPath);
  return true;
}
