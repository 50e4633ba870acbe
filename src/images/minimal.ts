import { randomUUID } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { execa } from 'execa';
import { fileError, makeFolder, renameDurably, syncPath } from '../durable-file.ts';
import { findProgram } from '../embedded/child.ts';
import { DormouseError, messageOf } from '../errors/index.ts';
import { USER_HOME, USER_ID, writeMinimalTree } from './minimal-tree.ts';

export interface MinimalImageOptions {
  /** Absolute path of the image to make; an image that is there is replaced as a whole. */
  imagePath: string;
  /** Apparent size in MiB; the file is sparse and takes a few MiB. */
  sizeMb: number;
  signal: AbortSignal;
}

/** Room for busybox, the inode tables and the journal, in MiB. */
const SIZE_MIN_MB = 64;
/** The journal is written round and round, so its size is what every clone comes to take, in MiB. */
const JOURNAL_MB = 16;

/**
 * How the file system is made, mke2fs(8):
 *
 * - `assume_storage_prezeroed`: a new sparse file reads as zeros, so neither inode tables nor journal are written, and
 *   the inode tables are marked as zeroed. Otherwise every guest would zero them in the background (ext4's lazy
 *   init): 320 MB for 20 GiB.
 * - `-b`, `-i`: as for a large file system, since a small image grows with the disk that it becomes.
 * - `-m 0`: nothing is reserved for root; the guest gets the size that was asked for.
 */
const MKE2FS_OPTIONS = [
  ...['-q', '-F', '-t', 'ext4', '-b', '4096', '-i', '16384', '-m', '0', '-L', 'minimal'],
  ...['-J', `size=${JOURNAL_MB}`],
  ...['-E', 'assume_storage_prezeroed=1,root_owner=0:0'],
];

/**
 * Makes the root file system of the platform template `minimal`: busybox with all its programs, root and a user
 * `user`. It needs no network, no mount and no root.
 *
 * @throws `INVALID_SIZE`, `DEPENDENCY_MISSING` (mke2fs, debugfs, busybox), `DISK_FULL`, `DATA_DIR_UNWRITABLE`,
 * `DISK_FAILED`; the signal's reason when it aborts. Nothing is left behind then.
 */
export async function buildMinimalImage({ imagePath, sizeMb, signal }: MinimalImageOptions): Promise<void> {
  if (!Number.isInteger(sizeMb) || sizeMb < SIZE_MIN_MB)
    throw new DormouseError(
      'INVALID_SIZE',
      `An image of ${sizeMb} MiB is too small; ${SIZE_MIN_MB} is the least.`,
    );
  signal.throwIfAborted();
  const [mke2fs, debugfs, busybox] = await Promise.all([
    findProgram('mke2fs', 'e2fsprogs'),
    findProgram('debugfs', 'e2fsprogs'),
    findProgram('busybox', 'busybox-static'),
  ]);
  await makeFolder(path.dirname(imagePath));
  const temporary = `${imagePath}.${randomUUID().slice(0, 8)}.tmp`;
  const work = await mkdtemp(path.join(os.tmpdir(), 'dormouse-minimal-')).catch((error: unknown) => {
    throw fileError(os.tmpdir(), error);
  });
  try {
    const root = path.join(work, 'root');
    const applets = (await runTool(busybox, ['--list-full'], signal)).split('\n').filter(Boolean);
    const paths = await writeMinimalTree(root, busybox, applets).catch((error: unknown) => {
      throw fileError(root, error);
    });
    await runTool(mke2fs, [...MKE2FS_OPTIONS, '-d', root, temporary, `${sizeMb}M`], signal);
    const commands = path.join(work, 'owners');
    await writeFile(commands, ownerCommands(paths));
    await runTool(debugfs, ['-w', '-f', commands, temporary], signal);
    await syncPath(temporary);
    await renameDurably(temporary, imagePath);
  } finally {
    await rm(temporary, { force: true });
    await rm(work, { recursive: true, force: true });
  }
}

/** debugfs(8) commands that give every file its owner: mke2fs takes owners from the folder, which need not be root's. */
function ownerCommands(paths: readonly string[]): string {
  return paths
    .flatMap((name) => {
      const id = name === USER_HOME || name.startsWith(`${USER_HOME}/`) ? USER_ID : 0;
      return [`set_inode_field ${name} uid ${id}`, `set_inode_field ${name} gid ${id}`];
    })
    .map((command) => `${command}\n`)
    .join('');
}

async function runTool(program: string, args: readonly string[], signal: AbortSignal): Promise<string> {
  try {
    return (await execa(program, args, { cancelSignal: signal, stdin: 'ignore' })).stdout;
  } catch (error) {
    signal.throwIfAborted();
    const message = messageOf(error);
    const code = /no space left|quota exceeded/i.test(message) ? 'DISK_FULL' : 'DISK_FAILED';
    throw new DormouseError(code, `The image could not be made: ${path.basename(program)} failed.`, {
      cause: error,
    });
  }
}
