import { chmod, chown, mkdir } from 'node:fs/promises';
import { diskError } from '../../drivers/disk/files.ts';
import { type FileTree, newNode } from './file-tree.ts';
import { invalid } from './invalid.ts';
import { within } from './unpack.ts';

/** What every command is run with. */
export const SHELL = 'bin/sh';

/** Folders that the guest mounts something over (guest/boot.c), and their modes when they are missing. */
const MOUNT_POINTS: ReadonlyArray<readonly [name: string, mode: number]> = [
  ['dev', 0o755],
  ['proc', 0o555],
  ['sys', 0o555],
  ['run', 0o755],
  ['tmp', 0o1777],
];
/** Those without which nothing runs: a link there would lead elsewhere while the root is not the root yet. */
const NEEDED = new Set(['dev', 'proc', 'sys']);

/** That there is no shell, as an error. */
export function noShell(): Error {
  return invalid(
    'no-shell',
    'The file system has no /bin/sh, which commands in a sandbox are run with. Add a shell, such as busybox, to it.',
  );
}

/**
 * Checks that a sandbox can boot the tree and run commands in it.
 *
 * @throws `TEMPLATE_INVALID`
 */
export function requireRunnable(tree: FileTree): void {
  if (tree.resolve(SHELL)?.node.kind !== 'file') throw noShell();
  for (const [name] of MOUNT_POINTS) {
    const kind = tree.at(name)?.kind ?? 'folder';
    if (kind !== 'folder' && (NEEDED.has(name) || kind !== 'symlink'))
      throw invalid('not-in-a-folder', `The file system has a ${kind} where the folder /${name} has to be.`, {
        entry: name,
      });
  }
}

/**
 * Makes the folders that a guest needs and the tree lacks, in it and in the folder `root`, and gives that folder root's
 * owner and mode: archives of a temporary folder often have that folder's.
 *
 * @throws `DISK_FULL`, `DISK_FAILED`, `DATA_DIR_UNWRITABLE`
 */
export async function completeTree(tree: FileTree, root: string): Promise<void> {
  try {
    for (const [name, mode] of MOUNT_POINTS) {
      if (tree.at(name)) continue;
      const folder = within(root, name);
      await mkdir(folder);
      await chmod(folder, mode);
      tree.root.children.set(name, newNode('folder', 0));
    }
    await chown(root, 0, 0);
    await chmod(root, 0o755);
  } catch (error) {
    throw diskError('The folders that a guest needs could not be made', error);
  }
}
