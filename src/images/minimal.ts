import { randomUUID } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { execa } from 'execa';
import { fileError, makeFolder, renameDurably, syncPath } from '../durable-file.ts';
import { findProgram } from '../embedded/child.ts';
import { DormouseError, messageOf } from '../errors/index.ts';
import { USER_HOME, USER_ID, writeMinimalTree } from './minimal-tree.ts';
import { mke2fsOptions } from './mke2fs.ts';

export interface MinimalImageOptions {
  /** Absolute path of the image to make; an image that is there is replaced as a whole. */
  imagePath: string;
  /** Apparent size in MiB; the file is sparse and takes a few MiB. */
  sizeMb: number;
  signal: AbortSignal;
}

/** Room for busybox, the inode tables and the journal, in MiB. */
const SIZE_MIN_MB = 64;

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
    await runTool(
      mke2fs,
      [...mke2fsOptions({ label: 'minimal' }), '-d', root, temporary, `${sizeMb}M`],
      signal,
    );
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
