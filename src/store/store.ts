import { randomUUID } from 'node:crypto';
import { readdir, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import type { Clock } from '../clock.ts';
import { diskError, PARTIAL_SUFFIX, shareBlocks } from '../drivers/disk/files.ts';
import { exists, makeFolder } from '../durable-file.ts';
import { DormouseError, hasCode, messageOf } from '../errors/index.ts';
import type { Logger } from '../log.ts';
import type { Paths } from '../paths.ts';
import { freeMbOf } from './free.ts';
import { makeImage, mountedOn, mountImage, unmountImage } from './image.ts';

/** Share of the free space that the image may grow to, and the least that it gets (it is sparse). */
const IMAGE_SHARE = 0.9;
const IMAGE_MIN_MB = 1024;

export interface StoreOptions {
  /** Size of the image, when one has to be made, in MiB. Default: 90 % of what is free, at least 1024. */
  sizeMb?: number | undefined;
  log: Logger;
  clock: Clock;
  signal: AbortSignal;
}

/** The store, open: `paths.store` is a folder that can be written. */
export interface Store {
  /** Whether files in it can be cloned in constant time and without space. */
  reflinks: boolean;
  /** What the store is, for a person. */
  how: string;
  /** Unmounts the image, if it is one and nobody uses it: running virtual machines keep it mounted. May be called again. */
  close(): Promise<void>;
}

/**
 * Makes sure that `paths.store` is there and has reflinks if that is possible: as a folder, where the data directory's
 * file system has them; else, as root, as an XFS image that is mounted there. An image that is mounted already (an earlier
 * agent was killed, or left virtual machines running) is used as it is. The caller holds the data directory's lock.
 *
 * @throws `DATA_DIR_UNWRITABLE`, `DISK_FULL`, `DISK_FAILED`
 */
export async function openStore(paths: Paths, options: StoreOptions): Promise<Store> {
  const { log, clock, signal } = options;
  const startedMs = clock.monotonicMs();
  await makeFolder(paths.root);
  await makeFolder(paths.store);
  const found = await open(paths, options);
  signal.throwIfAborted();
  log.info({ ...found, store: paths.store, durationMs: clock.monotonicMs() - startedMs }, 'store opened');
  return {
    reflinks: found.reflinks,
    how: found.how,
    async close() {
      if ((await mountedOn(paths)) !== 'image') return;
      const unmounted = await unmountImage(paths);
      log.info(
        { store: paths.store },
        unmounted ? 'store unmounted' : 'store stays mounted: it is in use, by virtual machines that run on',
      );
    },
  };
}

async function open(paths: Paths, options: StoreOptions): Promise<Pick<Store, 'reflinks' | 'how'>> {
  const mounted = await mountedOn(paths);
  if (mounted === 'other') return await folder(paths, 'a file system mounted by somebody else');
  if (mounted === 'image') return await folder(paths, 'an XFS image, which was mounted already');
  if (await exists(paths.storeImage)) {
    await mountImage(paths, options.signal).catch((error: unknown) => {
      throw isRoot() ? error : onlyRootMounts(paths, error);
    });
    return await folder(paths, 'an XFS image');
  }
  // What an earlier run put into the plain folder would be hidden by a mount.
  const inUse = (await readdir(paths.store)).length > 0;
  const plain = await folder(paths, 'a folder of the data directory');
  if (plain.reflinks || inUse) return plain;
  if (!isRoot()) return { ...plain, how: `${plain.how}; as root an XFS image would be mounted instead` };
  return await newImage(paths, options, plain);
}

/** A new image, mounted; the plain folder, and no image, where this machine cannot make or mount one. */
async function newImage(
  paths: Paths,
  { sizeMb, log, signal }: StoreOptions,
  plain: Pick<Store, 'reflinks' | 'how'>,
): Promise<Pick<Store, 'reflinks' | 'how'>> {
  const freeMb = await freeMbOf(paths.root);
  try {
    await makeImage(paths, sizeMb ?? Math.max(IMAGE_MIN_MB, Math.floor(freeMb * IMAGE_SHARE)), signal);
    await mountImage(paths, signal);
  } catch (error) {
    if (signal.aborted || !hasCode(error, 'DISK_FAILED')) throw error;
    await rm(paths.storeImage, { force: true });
    log.warn({ err: error }, 'no XFS image could be mounted for the store');
    return { ...plain, how: `${plain.how}; no XFS image could be mounted: ${error.detail}` };
  }
  return await folder(paths, 'an XFS image');
}

/** The store as it is, with what its file system can do. Throws when it cannot be written. */
async function folder(paths: Paths, what: string): Promise<Pick<Store, 'reflinks' | 'how'>> {
  const reflinks = await hasReflinks(paths.store);
  return {
    reflinks,
    how: reflinks ? `${what}, with reflinks` : `${what}, without reflinks: each clone is a full copy`,
  };
}

/** Tries it, since neither a file system's name nor its version tells. Throws `DATA_DIR_UNWRITABLE`, `DISK_FULL`. */
async function hasReflinks(dir: string): Promise<boolean> {
  const source = path.join(dir, `.probe-${randomUUID().slice(0, 8)}${PARTIAL_SUFFIX}`);
  const clone = `${source}.clone`;
  try {
    await writeFile(source, 'reflink', { flag: 'wx', mode: 0o600 });
    return await shareBlocks(source, clone);
  } catch (error) {
    throw diskError(`The store ${dir} could not be written`, error);
  } finally {
    for (const file of [source, clone]) await rm(file, { force: true }).catch(() => {});
  }
}

function isRoot(): boolean {
  return process.geteuid?.() === 0;
}

function onlyRootMounts(paths: Paths, cause: unknown): DormouseError {
  return new DormouseError(
    'DATA_DIR_UNWRITABLE',
    `The store is an XFS image (${paths.storeImage}) that only root can mount (${messageOf(cause)}). Start as root, or use another data directory.`,
    { cause },
  );
}
