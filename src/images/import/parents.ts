import { type FileTree, newNode, partsOf, type TreeNode } from './file-tree.ts';
import { invalid } from './invalid.ts';

/**
 * The folder at the path, by real folders only: what tar would follow is never followed, since a link can lead anywhere.
 *
 * @param entry name of the entry that needs the folder
 * @param made is called for each folder on the way that is not there, which is made then; without it none is made
 * @returns undefined when it is not there
 * @throws `TEMPLATE_INVALID` when something else than a folder is on the way
 */
export function parentOf(
  tree: FileTree,
  folder: string,
  entry: string,
  made?: { layer: number; count(path: string): void },
): TreeNode | undefined {
  let node = tree.root;
  let path = '';
  for (const part of partsOf(folder)) {
    path = path === '' ? part : `${path}/${part}`;
    let child = node.children.get(part);
    if (child?.kind === 'symlink')
      throw invalid('through-symlink', 'The archive has an entry whose path leads through a symlink.', {
        entry,
      });
    if (child && child.kind !== 'folder')
      throw invalid('not-in-a-folder', 'The archive has an entry below something that is no folder.', {
        entry,
      });
    if (!child) {
      if (!made) return undefined;
      child = newNode('folder', made.layer, { implied: true });
      node.children.set(part, child);
      made.count(path);
    }
    node = child;
  }
  return node;
}
