import { entryPath, splitPath } from './entry-path.ts';
import { type FileTree, newNode, type TreeNode } from './file-tree.ts';
import { invalid, shown } from './invalid.ts';
import type { ImportLimits } from './limits.ts';
import type { Used } from './list-archive.ts';
import { parentOf } from './parents.ts';
import type { Entry } from './tar-listing.ts';
import { applyWhiteout, isWhiteout } from './whiteouts.ts';

/** How an archive is unpacked over what is there. */
export interface Plan {
  /** Paths that go before: what the archive removes, and what it has as something else. */
  removals: string[];
  /** Names of entries, as the archive has them, that are not unpacked. */
  excluded: string[];
  /** What was left out that was no mark, for a person. */
  leftOut: string[];
}

export interface PlanOptions {
  /** What earlier archives made; it gets what this one makes. */
  tree: FileTree;
  /** Number of the archive, from 0. */
  layer: number;
  /** Whether the archive is a layer of an image, whose marks remove what is below. */
  whiteouts: boolean;
  limits: ImportLimits;
  used: Used;
}

/** A file system of the guest's kernel is mounted over it. */
const DEVICES_FOLDER = 'dev/';

/**
 * Checks all entries of an archive, before any of it is written: that each stays within the folder, whatever is there
 * before it.
 *
 * @throws `TEMPLATE_INVALID`, with the name of the first entry that does not
 */
export function planUnpacking(entries: readonly Entry[], options: PlanOptions): Plan {
  const { tree, limits, whiteouts } = options;
  const plan: Plan = { removals: [], excluded: [], leftOut: [] };
  const marks = whiteouts ? entries.filter(isWhiteout) : [];
  for (const mark of marks) {
    for (const path of applyWhiteout(mark, tree, limits)) plan.removals.push(path);
    exclude(mark.name, plan);
  }
  const excluded = new Set(marks);
  for (const entry of entries) if (!excluded.has(entry)) add(entry, plan, excluded, options);
  refuseHidden(entries, excluded);
  return plan;
}

/** tar leaves out by name: all entries of that name, and all below it. Then the tree would have what the disk has not. */
function refuseHidden(entries: readonly Entry[], excluded: ReadonlySet<Entry>): void {
  if (excluded.size === 0) return;
  const names = new Set([...excluded].map(({ name }) => name));
  for (const entry of entries) {
    if (excluded.has(entry)) continue;
    const { name } = entry;
    for (let end = name.indexOf('/'); end >= 0; end = name.indexOf('/', end + 1))
      if (names.has(name.slice(0, end)))
        throw invalid('not-in-a-folder', 'The archive has an entry below one that is left out.', {
          entry: name,
        });
    if (names.has(name))
      throw invalid('twice', 'The archive has an entry twice, once as one that is left out.', {
        entry: name,
      });
  }
}

function add(entry: Entry, plan: Plan, excluded: Set<Entry>, options: PlanOptions): void {
  const { tree, layer, limits, used } = options;
  const { name, kind } = entry;
  const path = entryPath(name, limits);
  if (path === '') {
    if (kind !== 'folder') throw invalid('name', 'The archive has a file without a name.', { entry: name });
    return;
  }
  if (isLeftOut(entry, path, tree)) {
    exclude(name, plan);
    excluded.add(entry);
    plan.leftOut.push(`${shown(path)} (${kind})`);
    return;
  }
  if (kind === 'device')
    throw invalid('device', 'The archive has a device node outside of /dev.', { entry: name });
  const { folder, name: last } = splitPath(path);
  const parent = parentOf(tree, folder, name, { layer, count: () => countImplied(used, limits, name) });
  const before = parent?.children.get(last);
  const node = nodeOf(entry, options);
  if (before && before.kind !== node.kind) {
    if (before.layer === layer)
      throw invalid('twice', `The archive has an entry twice, as ${before.kind} and as ${node.kind}.`, {
        entry: name,
      });
    plan.removals.push(path);
  } else if (before?.kind === 'folder') {
    before.layer = layer;
    before.implied = false;
    return;
  }
  parent?.children.set(last, node);
}

/** Folders that no entry names count as well, or a few long paths would make millions of them. */
function countImplied(used: Used, limits: ImportLimits, entry: string): void {
  used.entries += 1;
  if (used.entries > limits.entries)
    throw invalid('too-many-entries', `The archive has more than ${limits.entries} files.`, { entry });
}

/** Devices and pipes below /dev, and hard links to those. */
function isLeftOut({ kind, target }: Entry, path: string, tree: FileTree): boolean {
  if (!path.startsWith(DEVICES_FOLDER)) return false;
  if (kind === 'device' || kind === 'fifo') return true;
  return kind === 'hard link' && isBelowDev(target) && tree.at(target) === undefined;
}

function isBelowDev(target: string): boolean {
  return target.replace(/^(\.?\/)+/, '').startsWith(DEVICES_FOLDER);
}

function nodeOf(entry: Entry, { tree, layer, limits }: PlanOptions): TreeNode {
  const { kind, name, bytes, target } = entry;
  if (kind === 'symlink') return newNode('symlink', layer, { target });
  if (kind !== 'hard link') return newNode(kind === 'device' ? 'file' : kind, layer, { bytes });
  const path = entryPath(target, limits);
  const { folder, name: last } = splitPath(path);
  const file = parentOf(tree, folder, name)?.children.get(last);
  if (file?.kind !== 'file')
    throw invalid('hard-link', `The archive has a hard link to ${shown(target)}: no file before it.`, {
      entry: name,
    });
  return file;
}

/** tar reads the names to exclude as lines, and cuts white space off their ends. */
function exclude(name: string, plan: Plan): void {
  if (/\n|\s$/.test(name))
    throw invalid('name', 'The archive has an entry to leave out whose name ends in white space.', {
      entry: name,
    });
  plan.excluded.push(name);
}
