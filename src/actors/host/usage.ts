import { readdir, stat } from 'node:fs/promises';
import path from 'node:path';
import type { Usage } from './inspection-protocol.ts';

/** How many folders are looked at at once: a host has better things to do for its file system. */
const AT_ONCE = 4;

/** Folder of a sandbox. */
export interface Folder {
  id: string;
  root: string;
}

/**
 * The blocks that the files of each sandbox take, as du(1) counts them: holes take none, and blocks that are shared with a
 * template or a snapshot count in full. What goes meanwhile counts nothing.
 *
 * @throws what the file system throws; the signal's reason when it aborts
 */
export async function usageOf(folders: readonly Folder[], signal: AbortSignal): Promise<Usage> {
  const sandboxes: Usage['sandboxes'] = [];
  const waiting = folders.values();
  const look = async (): Promise<void> => {
    for (const { id, root } of waiting)
      sandboxes.push({ id, allocated_bytes: await allocatedBelow(root, signal) });
  };
  await Promise.all(Array.from({ length: AT_ONCE }, look));
  return { sandboxes: sandboxes.sort((a, b) => (a.id < b.id ? -1 : 1)) };
}

async function allocatedBelow(at: string, signal: AbortSignal): Promise<number> {
  signal.throwIfAborted();
  const found = await orGone(stat(at));
  if (!found) return 0;
  // stat(2): st_blocks counts units of 512 bytes, whatever the block size of the file system.
  let bytes = found.blocks * 512;
  if (!found.isDirectory()) return bytes;
  for (const name of (await orGone(readdir(at))) ?? [])
    bytes += await allocatedBelow(path.join(at, name), signal);
  return bytes;
}

async function orGone<T>(look: Promise<T>): Promise<T | undefined> {
  return await look.catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  });
}
