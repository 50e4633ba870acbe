import { readdir, rm, stat, truncate } from 'node:fs/promises';
import path from 'node:path';
import type { Clock } from '../clock.ts';
import { cloneFile, diskError, PARTIAL_SUFFIX } from '../drivers/disk/files.ts';
import { renameDurably, syncPath } from '../durable-file.ts';
import { DormouseError, toDormouseError } from '../errors/index.ts';
import type { Logger } from '../log.ts';
import { checkFileSystem, resizeFileSystem } from './ext4-tools.ts';
import { fills, readSuperblock } from './superblock.ts';

/** Sizes of base images: sparse files with an ext4 file system, which no disk that is made from them can be smaller than. */

const BYTES_PER_MB = 2 ** 20;
/** Between the name of an image and `PARTIAL_SUFFIX`: a copy that is being worked on. */
const GROWING = '.grow';

export interface Growth {
  /** Whether anything was done. */
  changed: boolean;
  /** Size of the image file, in bytes: holes count. */
  bytesBefore: number;
  bytesAfter: number;
}

/**
 * Makes sure that the image, and the file system in it, have at least that size, and that the file system is clean. A
 * larger one keeps its size; one that does not fill its file, or was not unmounted in order, is repaired. The image stays
 * sparse: it takes some kilobytes more.
 *
 * The work is done on a clone, which replaces the image in one step, so the image is always the old or the new one.
 * Nobody may have it open: they would go on with the old one. Does nothing, and starts no program, when nothing is to do.
 *
 * @param sizeMb in MiB; 0 leaves the image as it is
 * @throws `DISK_FAILED` when it is no ext4 file system or cannot be repaired; `DISK_FULL`, `DATA_DIR_UNWRITABLE`,
 * `DEPENDENCY_MISSING` (e2fsck, resize2fs); the signal's reason when it aborts. The image is as before then.
 */
export async function growImage(imagePath: string, sizeMb: number, signal: AbortSignal): Promise<Growth> {
  signal.throwIfAborted();
  await removeUnfinished(imagePath);
  const { bytes, wantedBytes, isEnough } = await compare(imagePath, sizeMb);
  if (isEnough) return { changed: false, bytesBefore: bytes, bytesAfter: bytes };
  const clone = `${imagePath}${GROWING}${PARTIAL_SUFFIX}`;
  try {
    await cloneFile(imagePath, clone, signal, { sizeBytes: wantedBytes });
    await checkFileSystem(clone, signal);
    await resizeFileSystem(clone, 'file', signal);
    await checkFileSystem(clone, signal, { discardUnused: true });
    await syncPath(clone);
    signal.throwIfAborted();
    await renameDurably(clone, imagePath);
  } catch (error) {
    await rm(clone, { force: true }).catch(() => {});
    if (signal.aborted) throw signal.reason;
    throw diskError(`The image ${imagePath} could not be expanded to ${sizeMb} MiB`, error);
  }
  return { changed: true, bytesBefore: bytes, bytesAfter: wantedBytes };
}

/**
 * Makes the file system in the image, and the file, as small as the content allows, and gives back what no file in it
 * uses. It is changed in place: the image must be a new one that nobody else looks at, and is to be thrown away when this
 * fails.
 *
 * @returns the size that the file has now, in bytes
 * @throws `DISK_FAILED` when it is no ext4 file system or cannot be repaired; `DISK_FULL`, `DATA_DIR_UNWRITABLE`,
 * `DEPENDENCY_MISSING` (e2fsck, resize2fs); the signal's reason when it aborts
 */
export async function shrinkImage(imagePath: string, signal: AbortSignal): Promise<number> {
  signal.throwIfAborted();
  await readSuperblock(imagePath);
  await checkFileSystem(imagePath, signal);
  await resizeFileSystem(imagePath, 'content', signal);
  await checkFileSystem(imagePath, signal, { discardUnused: true });
  const { sizeBytes } = await readSuperblock(imagePath);
  try {
    await truncate(imagePath, sizeBytes);
    await syncPath(imagePath);
  } catch (error) {
    throw diskError(`The image ${imagePath} could not be cut to ${sizeBytes} bytes`, error);
  }
  return sizeBytes;
}

export interface Image {
  /** Of the template, for log and progress. */
  name: string;
  imagePath: string;
}

export interface ImageSizeOptions {
  images: readonly Image[];
  /** Least size that every image shall have, in MiB; 0 leaves them all as they are. */
  sizeMb: number;
  /** Who has the image as the origin of a disk, as words for the log. Such a one is left alone. */
  usersOf(imagePath: string): Promise<readonly string[]>;
  /** Called before an image is changed. */
  growing?(name: string): void;
  clock: Clock;
  log: Logger;
  signal: AbortSignal;
}

/** What came of one image. */
export interface ImageSize {
  result: 'grown' | 'large enough' | 'in use' | 'failed';
  /** Sizes of the file, in bytes; undefined when it could not be looked at. */
  bytesBefore: number | undefined;
  bytesAfter: number | undefined;
  durationMs: number;
  /** Who uses it: of one that is in use. */
  users?: readonly string[];
  /** Of one that failed. */
  error?: DormouseError;
}

/**
 * Makes sure that every image has the least size, one after the other. One that is in use, or that fails, is logged and
 * left as it is; it keeps neither the others nor the host from starting.
 *
 * @returns what came of each, by name
 * @throws only the signal's reason, when it aborts
 */
export async function ensureImageSizes(options: ImageSizeOptions): Promise<Map<string, ImageSize>> {
  const { images, clock, signal, log } = options;
  const results = new Map<string, ImageSize>();
  for (const { name, imagePath } of images) {
    signal.throwIfAborted();
    const startedMs = clock.monotonicMs();
    const ended = await ensureOne(name, imagePath, options).catch((error: unknown): Ended => {
      signal.throwIfAborted();
      return {
        result: 'failed',
        error: toDormouseError(error),
        bytesBefore: undefined,
        bytesAfter: undefined,
      };
    });
    const size: ImageSize = { ...ended, durationMs: Math.round(clock.monotonicMs() - startedMs) };
    results.set(name, size);
    report(log, { name, imagePath }, size, options.sizeMb);
  }
  return results;
}

type Ended = Omit<ImageSize, 'durationMs'>;

async function ensureOne(name: string, imagePath: string, options: ImageSizeOptions): Promise<Ended> {
  const { sizeMb, usersOf, growing, signal } = options;
  const bytes = await sizeOf(imagePath);
  const unchanged = { bytesBefore: bytes, bytesAfter: bytes };
  try {
    await removeUnfinished(imagePath);
    if ((await compare(imagePath, sizeMb)).isEnough) return { result: 'large enough', ...unchanged };
    const users = await usersOf(imagePath);
    if (users.length > 0) return { result: 'in use', users, ...unchanged };
    growing?.(name);
    const { bytesBefore, bytesAfter } = await growImage(imagePath, sizeMb, signal);
    return { result: 'grown', bytesBefore, bytesAfter };
  } catch (error) {
    signal.throwIfAborted();
    return { result: 'failed', error: toDormouseError(error), ...unchanged };
  }
}

function report(log: Logger, image: Image, size: ImageSize, sizeMb: number): void {
  const { error, ...facts } = size;
  const fields = { template: image.name, image: image.imagePath, wantedMb: sizeMb, ...facts };
  switch (size.result) {
    case 'grown':
      log.info(fields, 'image expanded');
      break;
    case 'large enough':
      log.debug(fields, 'the image is large enough');
      break;
    case 'in use':
      log.warn(fields, 'the image is smaller than wanted and is left as it is: it is in use');
      break;
    case 'failed':
      log.error({ ...fields, code: error?.code, err: error }, 'the image could not be expanded');
      break;
  }
}

interface Comparison {
  /** Size of the file. */
  bytes: number;
  /** Size that the file has to have. */
  wantedBytes: number;
  isEnough: boolean;
}

async function compare(imagePath: string, sizeMb: number): Promise<Comparison> {
  const bytes = await sizeOf(imagePath);
  if (sizeMb === 0) return { bytes, wantedBytes: bytes, isEnough: true };
  const superblock = await readSuperblock(imagePath);
  // Zeros in the place of what is gone would make it look whole, and e2fsck would repair it into something else.
  if (superblock.sizeBytes > bytes)
    throw new DormouseError(
      'DISK_FAILED',
      `The image ${imagePath} is cut off: it has ${bytes} of the file system's ${superblock.sizeBytes} bytes.`,
      { data: { image: imagePath } },
    );
  const wantedBytes = Math.max(bytes, sizeMb * BYTES_PER_MB);
  return {
    bytes,
    wantedBytes,
    isEnough: superblock.clean && fills(superblock, wantedBytes) && bytes === wantedBytes,
  };
}

/** Size of the file, in bytes. */
async function sizeOf(imagePath: string): Promise<number> {
  const { size } = await stat(imagePath).catch((error: unknown) => {
    throw diskError(`The image ${imagePath} could not be read`, error);
  });
  return size;
}

/** Removes what a call that was killed left beside the image. */
async function removeUnfinished(imagePath: string): Promise<void> {
  const folder = path.dirname(imagePath);
  const prefix = `${path.basename(imagePath)}${GROWING}`;
  try {
    for (const name of await readdir(folder))
      if (name.startsWith(prefix) && name.endsWith(PARTIAL_SUFFIX))
        await rm(path.join(folder, name), { force: true });
  } catch (error) {
    throw diskError(`${folder} could not be cleared of unfinished images`, error);
  }
}
