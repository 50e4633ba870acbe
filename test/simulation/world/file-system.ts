/**
 * The host's file system in memory. Names and contents become durable as on XFS: whatever is synced takes the whole log of
 * names along with it, but no contents other than its own. A power cut undoes the rest, or, of names, nothing: the log may
 * have been written by itself.
 */

/** What a file holds. Files of machines and disks have a model in place of bytes. */
export interface Data {
  text: string;
  bytes: number;
  /** Plain data. */
  model: Record<string, unknown> | undefined;
}

export interface FileNode extends Data {
  kind: 'file';
  inode: number;
  changedMs: number;
  parent: FolderNode | undefined;
  name: string;
  /** What the disk has of it. */
  durable: Data | undefined;
}

export interface FolderNode {
  kind: 'folder';
  inode: number;
  entries: Map<string, Node>;
  /** Names that the disk has. */
  durable: Map<string, Node>;
  parent: FolderNode | undefined;
  name: string;
}

export type Node = FileNode | FolderNode;

/** An error as Node.js gives it. */
export function errno(code: string, where: string): NodeJS.ErrnoException {
  return Object.assign(new Error(`${code}: ${where}`), { code });
}

export class FileSystem {
  readonly root: FolderNode = newFolder(1);
  #inodes = 1;
  /** Folders whose names the disk does not have yet. */
  readonly #changed = new Set<FolderNode>();
  /** Clones, and what the log has of them: the blocks that they share were on the disk before. */
  readonly #cloned = new Map<FileNode, Data>();
  readonly #nowMs: () => number;

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
  }

  /** Makes this file system like another one, which nothing that happens here changes. */
  copyFrom(other: FileSystem): void {
    this.#inodes = other.#inodes;
    this.#copyFolder(other.root, this.root);
  }

  #copyFolder(from: FolderNode, to: FolderNode): void {
    for (const [name, node] of from.entries) {
      if (node.kind === 'file') {
        const durable = node.durable && copyOf(node.durable);
        to.entries.set(name, { ...node, ...dataOf(node), durable, parent: to });
      } else {
        const folder = newFolder(node.inode);
        Object.assign(folder, { name, parent: to });
        to.entries.set(name, folder);
        this.#copyFolder(node, folder);
      }
    }
    to.durable = new Map(to.entries);
  }

  find(path: string): Node | undefined {
    let node: Node | undefined = this.root;
    for (const name of partsOf(path)) {
      if (node?.kind !== 'folder') return undefined;
      node = node.entries.get(name);
    }
    return node;
  }

  /** @throws ENOENT, EISDIR */
  file(path: string): FileNode {
    const node = this.find(path);
    if (!node) throw errno('ENOENT', path);
    if (node.kind !== 'file') throw errno('EISDIR', path);
    return node;
  }

  /** @throws ENOENT, ENOTDIR */
  folder(path: string): FolderNode {
    const node = this.find(path);
    if (!node) throw errno('ENOENT', path);
    if (node.kind !== 'folder') throw errno('ENOTDIR', path);
    return node;
  }

  /** A new empty file; one that is there is emptied unless it must be new. @throws EEXIST, ENOENT */
  create(path: string, mustBeNew = false): FileNode {
    const there = this.find(path);
    if (there?.kind === 'folder') throw errno('EISDIR', path);
    if (there && mustBeNew) throw errno('EEXIST', path);
    if (there) {
      this.write(there, { text: '', bytes: 0, model: undefined });
      return there;
    }
    const { parent, name } = this.#place(path);
    const file: FileNode = {
      kind: 'file',
      inode: ++this.#inodes,
      changedMs: this.#nowMs(),
      text: '',
      bytes: 0,
      model: undefined,
      durable: undefined,
      parent: undefined,
      name,
    };
    this.#link(parent, name, file);
    return file;
  }

  write(file: FileNode, data: Partial<Data>): void {
    Object.assign(file, data);
    if (data.text !== undefined && data.bytes === undefined) file.bytes = data.text.length;
    file.changedMs = this.#nowMs();
  }

  makeFolders(path: string): void {
    let folder = this.root;
    for (const name of partsOf(path)) {
      const next = folder.entries.get(name);
      if (next?.kind === 'file') throw errno('ENOTDIR', path);
      if (next) folder = next;
      else {
        const made = newFolder(++this.#inodes);
        this.#link(folder, name, made);
        folder = made;
      }
    }
  }

  /** @throws ENOENT, ENOTEMPTY, EISDIR, ENOTDIR as rename(2) */
  rename(from: string, to: string): void {
    const node = this.find(from);
    if (!node) throw errno('ENOENT', from);
    const target = this.find(to);
    if (target?.kind === 'folder' && node.kind === 'file') throw errno('EISDIR', to);
    if (target?.kind === 'file' && node.kind === 'folder') throw errno('ENOTDIR', to);
    if (target?.kind === 'folder' && target.entries.size > 0) throw errno('ENOTEMPTY', to);
    const { parent, name } = this.#place(to);
    this.#unlink(node);
    if (target) this.#unlink(target);
    this.#link(parent, name, node);
  }

  /** Removes what has the name, with all that is in it. Does nothing when there is nothing. */
  remove(path: string): void {
    const node = this.find(path);
    if (node) this.#unlink(node);
  }

  /** A clone of a file: ioctl_ficlonerange(2) on XFS writes the source back first. @throws ENOENT, EEXIST */
  copy(from: string, to: string, mustBeNew: boolean): void {
    const source = this.file(from);
    const copy = this.create(to, mustBeNew);
    this.write(copy, dataOf(source));
    this.#cloned.set(copy, dataOf(source));
  }

  /** Content and all names have reached the disk. */
  sync(node: Node): void {
    if (node.kind === 'file') node.durable = dataOf(node);
    for (const folder of this.#changed) folder.durable = new Map(folder.entries);
    this.#changed.clear();
    for (const [clone, data] of this.#cloned) clone.durable ??= data;
    this.#cloned.clear();
  }

  /** Path of the node now, or undefined when it has no name any more. */
  pathOf(node: Node): string | undefined {
    if (node === this.root) return '';
    const above = node.parent && this.pathOf(node.parent);
    return above === undefined ? undefined : `${above}/${node.name}`;
  }

  /** @param names whether the disk has the names that nobody waited for */
  losePower(names: () => boolean): void {
    if (this.#changed.size > 0 && !names())
      for (const folder of this.#changed) folder.entries = new Map(folder.durable);
    for (const folder of this.#changed) folder.durable = new Map(folder.entries);
    this.#changed.clear();
    this.#cloned.clear();
    this.#restore(this.root);
  }

  /** Names lead to nodes again, and files have what the disk has of them. One that was never synced is empty. */
  #restore(folder: FolderNode): void {
    for (const [name, node] of folder.entries) {
      node.parent = folder;
      node.name = name;
      if (node.kind === 'folder') this.#restore(node);
      else
        Object.assign(node, node.durable ? copyOf(node.durable) : { text: '', bytes: 0, model: undefined });
    }
  }

  #place(path: string): { parent: FolderNode; name: string } {
    const name = partsOf(path).at(-1);
    if (name === undefined) throw errno('EEXIST', path);
    return { parent: this.folder(path.slice(0, path.lastIndexOf(name))), name };
  }

  #link(parent: FolderNode, name: string, node: Node): void {
    parent.entries.set(name, node);
    node.parent = parent;
    node.name = name;
    this.#changed.add(parent);
  }

  #unlink(node: Node): void {
    if (!node.parent) return;
    node.parent.entries.delete(node.name);
    this.#changed.add(node.parent);
    node.parent = undefined;
  }
}

function newFolder(inode: number): FolderNode {
  return { kind: 'folder', inode, entries: new Map(), durable: new Map(), parent: undefined, name: '' };
}

export function dataOf({ text, bytes, model }: Data): Data {
  return copyOf({ text, bytes, model });
}

function copyOf({ text, bytes, model }: Data): Data {
  return { text, bytes, model: model && (JSON.parse(JSON.stringify(model)) as Record<string, unknown>) };
}

const known = new Map<string, readonly string[]>();

function partsOf(path: string): readonly string[] {
  const before = known.get(path);
  if (before) return before;
  const parts = path.split('/').filter((part) => part !== '');
  // Names with chance in them would fill it.
  if (known.size < 10_000) known.set(path, parts);
  return parts;
}
