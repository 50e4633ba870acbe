import { randomUUID } from 'node:crypto';
import { open, unlink } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { execa } from 'execa';

const BYTES_PER_MB = 2 ** 20;
const PATH = `${process.env.PATH}:/usr/sbin:/sbin`;

export interface Scratch extends AsyncDisposable {
  /** What the disk can be opened by, while this process lives. */
  path: string;
}

/**
 * A sparse file with an XFS file system that has reflinks, made at the host's speed. It has no name: its space comes back
 * when the last descriptor is closed, however this process ends.
 *
 * @param sizeMb MiB, 300 at least
 */
export async function openScratch(sizeMb: number): Promise<Scratch> {
  const name = path.join(os.tmpdir(), `kernel-scratch-${randomUUID()}`);
  const file = await open(name, 'wx+', 0o600);
  try {
    await unlink(name);
    await file.truncate(sizeMb * BYTES_PER_MB);
    const opened = `/proc/${process.pid}/fd/${file.fd}`;
    await execa('mkfs.xfs', ['-q', '-K', '-m', 'reflink=1', opened], { env: { PATH } });
    return { path: opened, [Symbol.asyncDispose]: () => file.close() };
  } catch (error) {
    await file.close();
    throw error;
  }
}
