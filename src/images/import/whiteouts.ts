import { entryPath, splitPath } from './entry-path.ts';
import type { FileTree } from './file-tree.ts';
import { invalid } from './invalid.ts';
import type { ImportLimits } from './limits.ts';
import { parentOf } from './parents.ts';
import type { Entry } from './tar-listing.ts';

/**
 * Marks of a layer for what the layers below it have and it has not (OCI image specification, layer.md: whiteouts):
 * `.wh.<name>` removes a name, `.wh..wh..opq` everything that its folder has. Other names that begin with `.wh..wh.` are
 * aufs' own.
 */
const PREFIX = '.wh.';
const OPAQUE = '.wh..wh..opq';
const OF_AUFS = '.wh..wh.';

/** Whether the entry is a mark, and no file. */
export function isWhiteout({ name }: Entry): boolean {
  return name.split('/').some((part) => part.startsWith(PREFIX));
}

/**
 * Removes from the tree what the mark says. It counts for the layers below only, so all marks of a layer come before its
 * files, wherever the archive has them.
 *
 * @returns paths of what is to be removed from the folder, too
 * @throws `TEMPLATE_INVALID` when the mark names something that is not in its folder
 */
export function applyWhiteout(entry: Entry, tree: FileTree, limits: ImportLimits): string[] {
  const { folder, name } = splitPath(entryPath(entry.name, limits));
  if (!name.startsWith(PREFIX) || (name.startsWith(OF_AUFS) && name !== OPAQUE)) return [];
  const parent = parentOf(tree, folder, entry.name);
  const removed = name === OPAQUE ? [...(parent?.children.keys() ?? [])] : [name.slice(PREFIX.length)];
  if (removed.some((child) => child === '' || child === '.' || child === '..'))
    throw invalid('whiteout', 'The archive removes something that has no name of a file.', {
      entry: entry.name,
    });
  return removed
    .filter((child) => parent?.children.delete(child))
    .map((child) => (folder === '' ? child : `${folder}/${child}`));
}
