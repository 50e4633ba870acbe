import { statfs } from 'node:fs/promises';
import type { Paths } from '../paths.ts';

const BYTES_PER_MB = 2 ** 20;

/**
 * Space that the store can still take, in whole MiB. A mounted image is sparse: it takes no more than the file system
 * under it has, whatever its own says, and a write beyond that is an I/O error. So the smaller of the two counts.
 */
export async function freeMb(paths: Pick<Paths, 'root' | 'store'>): Promise<number> {
  return Math.min(await freeMbOf(paths.root), await freeMbOf(paths.store));
}

/** Space that an unprivileged user may still take on the file system of `folder`, in whole MiB. */
export async function freeMbOf(folder: string): Promise<number> {
  const { bavail, bsize } = await statfs(folder);
  return Math.floor((bavail * bsize) / BYTES_PER_MB);
}
