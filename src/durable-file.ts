import { randomUUID } from 'node:crypto';
import { access, mkdir, open, rename, rm } from 'node:fs/promises';
import path from 'node:path';
import { DormouseError, messageOf } from './errors/index.ts';

/**
 * Replaces a file as a whole so that after a power cut it has the old content or the new one: temporary file, fsync,
 * rename, fsync of the folder.
 *
 * @throws `DISK_FULL`, `DATA_DIR_UNWRITABLE`
 */
export async function writeFileDurably(
  file: string,
  content: string | Uint8Array,
  mode: number,
): Promise<void> {
  await replace(file, content, mode, true);
}

/**
 * Replaces a file as a whole, for whoever reads it while the host runs: a power cut may take it, or leave it empty.
 *
 * @throws `DISK_FULL`, `DATA_DIR_UNWRITABLE`
 */
export async function replaceFile(file: string, content: string | Uint8Array, mode: number): Promise<void> {
  await replace(file, content, mode, false);
}

async function replace(
  file: string,
  content: string | Uint8Array,
  mode: number,
  durably: boolean,
): Promise<void> {
  // A name of its own for each write: two writers must not tear each other's file.
  const temporary = `${file}.${randomUUID().slice(0, 8)}.tmp`;
  try {
    const handle = await open(temporary, 'wx', mode);
    try {
      await handle.writeFile(content);
      if (durably) await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(temporary, file);
    if (durably) await syncFolder(path.dirname(file));
  } catch (error) {
    await rm(temporary, { force: true }).catch(() => {});
    throw fileError(file, error);
  }
}

/** Makes sure that a rename or a new file in `folder` outlives a power cut. Throws `DISK_FULL`, `DATA_DIR_UNWRITABLE`. */
export async function syncFolder(folder: string): Promise<void> {
  await syncPath(folder).catch((error: unknown) => {
    throw fileError(folder, error);
  });
}

/** Waits until everything that was written to the file or folder, by anybody, is on the disk. */
export async function syncPath(target: string): Promise<void> {
  const handle = await open(target, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Whether there is a file or folder. Throws `DATA_DIR_UNWRITABLE` when nobody can tell: that is not the same as absent. */
export async function exists(target: string): Promise<boolean> {
  try {
    await access(target);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false;
    throw new DormouseError(
      'DATA_DIR_UNWRITABLE',
      `Nobody can tell whether there is ${target} (${messageOf(error)}).`,
      { cause: error },
    );
  }
}

/** Makes a folder and the way to it, readable by nobody else. Throws `DISK_FULL`, `DATA_DIR_UNWRITABLE`. */
export async function makeFolder(folder: string): Promise<void> {
  await mkdir(folder, { recursive: true, mode: 0o700 }).catch((error: unknown) => {
    throw fileError(folder, error);
  });
}

/** Renames so that it outlives a power cut. Throws `DISK_FULL`, `DATA_DIR_UNWRITABLE`. */
export async function renameDurably(from: string, to: string): Promise<void> {
  try {
    await rename(from, to);
    await syncFolder(path.dirname(to));
  } catch (error) {
    throw fileError(to, error);
  }
}

/** An error of the file system as one of ours. */
export function fileError(where: string, error: unknown): DormouseError {
  if (error instanceof DormouseError) return error;
  const code = (error as NodeJS.ErrnoException).code;
  if (code === 'ENOSPC' || code === 'EDQUOT')
    return new DormouseError('DISK_FULL', `There is no space left to write ${where}.`, { cause: error });
  return new DormouseError(
    'DATA_DIR_UNWRITABLE',
    `${where} could not be written (${code ?? messageOf(error)}).`,
    { cause: error },
  );
}
