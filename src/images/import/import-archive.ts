import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import { diskError } from '../../drivers/disk/files.ts';
import type { Archive } from './archive.ts';
import { FileTree } from './file-tree.ts';
import { invalid } from './invalid.ts';
import type { ImportLimits } from './limits.ts';
import { listArchive, nothingUsed } from './list-archive.ts';
import { type Plan, planUnpacking } from './plan.ts';
import type { Progress } from './progress.ts';
import { unpack } from './unpack.ts';

/** What the parts of an import share. */
export interface ImportContext {
  /** Folder of this import alone; what is in it goes with it. */
  work: string;
  limits: ImportLimits;
  signal: AbortSignal;
  progress: Progress;
}

/** An archive that was read once, and of which everything is known but its files' content. */
export interface Checked {
  archive: Archive;
  tree: FileTree;
  plan: Plan;
}

/** A folder with an unpacked root file system, and what is in it. */
export interface UnpackedRoot {
  root: string;
  tree: FileTree;
  /** What was left out, for a person. */
  leftOut: string[];
}

/** PATH_MAX, with the zero at its end: tools get paths of files with the folder that they are in. */
const PATH_BYTES_MAX = 4096;

/** The limits, with paths that are possible below the folder. */
export function limitsIn(folder: string, limits: ImportLimits): ImportLimits {
  const possible = PATH_BYTES_MAX - 1 - Buffer.byteLength(folder) - 1;
  return { ...limits, pathBytes: Math.min(limits.pathBytes, possible) };
}

/**
 * Reads an archive and checks all that is in it. Nothing is written.
 *
 * @throws `TEMPLATE_INVALID`, `DISK_FAILED`, `DEPENDENCY_MISSING`; the signal's reason when it aborts
 */
export async function checkArchive(archive: Archive, context: ImportContext): Promise<Checked> {
  const { signal, progress } = context;
  progress.begin('checking', archive.bytes);
  const limits = limitsIn(rootOf(context), context.limits);
  const used = nothingUsed();
  const entries = await listArchive(archive, {
    limits,
    used,
    signal,
    read: (bytes) => progress.advance(bytes),
  });
  if (entries.length === 0) throw invalid('empty', 'The archive is empty, or is no archive.');
  const tree = new FileTree();
  const plan = planUnpacking(entries, { tree, layer: 0, whiteouts: false, limits, used });
  return { archive, tree, plan };
}

/**
 * Unpacks an archive that was checked.
 *
 * @throws as `unpack`
 */
export async function unpackChecked(checked: Checked, context: ImportContext): Promise<UnpackedRoot> {
  const { archive, tree, plan } = checked;
  const { limits, signal, progress } = context;
  progress.begin('unpacking', archive.bytes);
  const root = await makeRoot(rootOf(context));
  await unpack(archive, { root, tree, plan, limits, signal, read: (bytes) => progress.advance(bytes) });
  return { root, tree, leftOut: plan.leftOut };
}

/** The folder that the first archive is unpacked to. */
export function rootOf({ work }: ImportContext): string {
  return path.join(work, 'root');
}

export async function makeRoot(root: string): Promise<string> {
  await mkdir(root, { mode: 0o700 }).catch((error: unknown) => {
    throw diskError(`The folder ${root} could not be made`, error);
  });
  return root;
}
