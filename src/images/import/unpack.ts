import { chmod, rm, writeFile } from 'node:fs/promises';
import { diskError } from '../../drivers/disk/files.ts';
import type { Archive } from './archive.ts';
import type { FileTree } from './file-tree.ts';
import type { ImportLimits } from './limits.ts';
import type { Plan } from './plan.ts';
import { runTar } from './run-tar.ts';

export interface UnpackOptions {
  /** Folder that becomes the root file system; nothing but earlier archives of the same upload has written to it. */
  root: string;
  /** What the archive and those before it make. */
  tree: FileTree;
  plan: Plan;
  limits: ImportLimits;
  signal: AbortSignal;
  /** Is told of bytes of the archive that were read. */
  read(bytes: number): void;
}

const IMPLIED_FOLDER_MODE = 0o755;

/**
 * Owners are numbers, whatever their names are on this host. Of extended attributes only those that mean something to
 * another kernel are kept: capabilities of programs, and what users set.
 */
const UNPACK = [
  ...['--extract', '--numeric-owner', '--same-owner', '--same-permissions', '--delay-directory-restore'],
  ...['--xattrs', '--xattrs-include=security.capability', '--xattrs-include=user.*'],
  ...['--warning=no-timestamp', '--warning=no-unknown-keyword', '--quoting-style=c'],
];

/**
 * Unpacks an archive that was planned, as root, with owners, modes, capabilities and holes.
 *
 * @throws `TEMPLATE_INVALID`, `DISK_FULL`, `DISK_FAILED`, `DEPENDENCY_MISSING`; the signal's reason when it aborts. The
 * folder is to be thrown away then.
 */
export async function unpack(archive: Archive, options: UnpackOptions): Promise<void> {
  const { root, tree, plan, limits, signal, read } = options;
  const excluded = `${root}.excluded`;
  try {
    for (const path of plan.removals) {
      signal.throwIfAborted();
      await rm(within(root, path), { recursive: true, force: true });
    }
    await writeFile(excluded, plan.excluded.map((name) => `${name}\n`).join(''), 'latin1');
    const leaveOut = ['--anchored', '--no-wildcards', `--exclude-from=${excluded}`];
    await runTar([...leaveOut, ...UNPACK, `--directory=${root}`], { archive, limits, signal, read });
    for (const { path, node } of tree.walk())
      if (node.kind === 'folder' && node.implied) await chmod(within(root, path), IMPLIED_FOLDER_MODE);
    await rm(excluded);
  } catch (error) {
    if (signal.aborted) throw signal.reason;
    throw diskError('The archive could not be unpacked', error);
  }
}

/** Path on the host of a path of the tree, whose names are bytes. */
export function within(root: string, path: string): Buffer {
  return Buffer.concat([Buffer.from(`${root}/`), Buffer.from(path, 'latin1')]);
}
