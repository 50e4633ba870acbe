/**
 * What is in a root file system, as the archives that were checked so far make it. Names are bytes in latin1 strings, and
 * paths have no slash at either end: `usr/bin/env`; the root is the empty path.
 */

export type NodeKind = 'file' | 'folder' | 'symlink' | 'fifo';

export interface TreeNode {
  kind: NodeKind;
  /** Number of the archive that it came with last. */
  layer: number;
  /** Of a file, in bytes. */
  bytes: number;
  /** Of a symlink. */
  target: string;
  /** Of a folder. */
  children: Map<string, TreeNode>;
  /** True for a folder that no entry names, only what is in it. */
  implied: boolean;
}

export interface Found {
  path: string;
  node: TreeNode;
}

/** symlink(7): how many links the kernel follows in one path. */
const LINKS_MAX = 40;
const NO_CHILDREN: Map<string, TreeNode> = new Map();

export function newNode(kind: NodeKind, layer: number, fields: Partial<TreeNode> = {}): TreeNode {
  const children = kind === 'folder' ? new Map<string, TreeNode>() : NO_CHILDREN;
  return { kind, layer, bytes: 0, target: '', children, implied: false, ...fields };
}

/** The components of a path; none of the root. */
export function partsOf(path: string): string[] {
  return path.split('/').filter((part) => part !== '' && part !== '.');
}

export class FileTree {
  readonly root: TreeNode = newNode('folder', 0, { implied: true });

  /** What is at the path, without following any link. */
  at(path: string): TreeNode | undefined {
    let node: TreeNode | undefined = this.root;
    for (const part of partsOf(path)) node = node?.children.get(part);
    return node;
  }

  /** What is at the path when all links are followed, as a process sees it whose root this is. */
  resolve(path: string): Found | undefined {
    const ahead = partsOf(path).reverse();
    const behind: Array<{ name: string; node: TreeNode }> = [];
    const here = (): TreeNode => behind.at(-1)?.node ?? this.root;
    for (let links = 0; ahead.length > 0; ) {
      const part = ahead.pop() as string;
      if (part === '..') {
        behind.pop();
        continue;
      }
      const node = here().children.get(part);
      if (node === undefined) return undefined;
      if (node.kind !== 'symlink') {
        behind.push({ name: part, node });
        continue;
      }
      links += 1;
      if (links > LINKS_MAX) return undefined;
      if (node.target.startsWith('/')) behind.length = 0;
      ahead.push(...partsOf(node.target).reverse());
    }
    return { path: behind.map(({ name }) => name).join('/'), node: here() };
  }

  /** Everything but the root, folders before what is in them. A file with several names comes once for each. */
  *walk(): Generator<Found> {
    const folders: Found[] = [{ path: '', node: this.root }];
    for (let folder = folders.pop(); folder; folder = folders.pop())
      for (const [name, node] of folder.node.children) {
        const found = { path: folder.path === '' ? name : `${folder.path}/${name}`, node };
        yield found;
        if (node.kind === 'folder') folders.push(found);
      }
  }
}

export interface TreeMeasure {
  /** Files, folders and links: names, not inodes. */
  entries: number;
  /** Bytes of all files; holes count, a file with several names counts once. */
  bytes: number;
  /** Blocks that the content takes in a file system, in bytes. */
  blockBytes: number;
}

/** Longest target of a symlink that fits into its inode: Documentation/filesystems/ext4/ifork.rst. */
const FAST_LINK_BYTES = 59;
/** Bytes that a name takes in its folder beside itself, with what splits of blocks leave empty. */
const NAME_OVERHEAD_BYTES = 24;

/** Measures the tree, for a file system with blocks of `blockBytes` bytes. */
export function measure(tree: FileTree, blockBytes: number): TreeMeasure {
  const inBlocks = (bytes: number): number => Math.ceil(bytes / blockBytes) * blockBytes;
  const folderBytes = ({ children }: TreeNode): number => {
    let bytes = 0;
    for (const name of children.keys()) bytes += name.length + NAME_OVERHEAD_BYTES;
    return inBlocks(Math.max(1, 2 * bytes));
  };
  const result: TreeMeasure = { entries: 0, bytes: 0, blockBytes: folderBytes(tree.root) };
  const counted = new Set<TreeNode>();
  for (const { node } of tree.walk()) {
    result.entries += 1;
    if (node.kind === 'folder') result.blockBytes += folderBytes(node);
    if (node.kind === 'symlink' && node.target.length > FAST_LINK_BYTES) result.blockBytes += blockBytes;
    if (node.kind !== 'file' || counted.has(node)) continue;
    counted.add(node);
    result.bytes += node.bytes;
    result.blockBytes += inBlocks(node.bytes);
  }
  return result;
}
