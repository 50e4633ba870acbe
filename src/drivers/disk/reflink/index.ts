import { rm, stat, truncate } from 'node:fs/promises';
import path from 'node:path';
import { makeFolder, syncFolder, syncPath } from '../../../durable-file.ts';
import { DormouseError } from '../../../errors/index.ts';
import { allocatedBytes, cloneFile, diskError, filesOf } from '../files.ts';
import type { DiskDriver } from '../types.ts';

const BYTES_PER_MB = 2 ** 20;

/** The one file of a disk, in its folder. */
export const DISK_FILE = 'disk';

/**
 * Disks as files: a disk is a clone of its image, extended by a hole to the size that the guest shall see. There is
 * no kernel device, so attach and detach only look. Where the file system has no reflinks the same operations copy.
 */
export function createReflinkDriver(): DiskDriver {
  const clone: DiskDriver['clone'] = async (fromDir, toDir, signal, { sizeMb } = {}) => {
    await makeFolder(toDir);
    const from = path.join(fromDir, DISK_FILE);
    const { size } = await statOf(from, 'The disk');
    const sizeBytes = Math.max(size, (sizeMb ?? 0) * BYTES_PER_MB);
    await cloneFile(from, path.join(toDir, DISK_FILE), signal, { sizeBytes });
  };
  return {
    kind: 'reflink',

    // A disk that is there is whole, because it gets its name last, and a guest may have written to it: it stays.
    async create({ dir, imagePath, sizeMb }, signal) {
      signal.throwIfAborted();
      const sizeBytes = sizeMb * BYTES_PER_MB;
      const imageBytes = (await statOf(imagePath, 'The image')).size;
      if (!Number.isSafeInteger(sizeBytes) || sizeBytes < imageBytes) {
        const imageMb = Math.ceil(imageBytes / BYTES_PER_MB);
        throw new DormouseError(
          'INVALID_SIZE',
          `A disk of ${sizeMb} MiB cannot hold the image of ${imageMb} MiB.`,
          { data: { disk_size_mb: sizeMb, image_size_mb: imageMb } },
        );
      }
      const disk = path.join(dir, DISK_FILE);
      if (await exists(disk)) return;
      await makeFolder(dir);
      await cloneFile(imagePath, disk, signal, { sizeBytes });
    },

    clone,

    // What was written to the file is in the file, also when it has not reached the disk: a clone sees it.
    capture: ({ dir }, toDir, signal) => clone(dir, toDir, signal),

    async grow(dir, sizeMb) {
      const disk = path.join(dir, DISK_FILE);
      const { size } = await statOf(disk, 'The disk');
      if (size >= sizeMb * BYTES_PER_MB) return;
      await truncate(disk, sizeMb * BYTES_PER_MB).catch((error: unknown) => {
        throw diskError(`The disk ${disk} could not be made larger`, error);
      });
    },

    async attach({ dir }, signal) {
      signal.throwIfAborted();
      const disk = path.join(dir, DISK_FILE);
      await statOf(disk, 'The disk');
      return { path: disk };
    },

    async detach() {},

    async remove({ dir }) {
      for (const name of await filesOf(dir, DISK_FILE)) {
        await rm(path.join(dir, name), { force: true }).catch((error: unknown) => {
          throw diskError(`${path.join(dir, name)} could not be removed`, error);
        });
      }
    },

    async flatten({ dir }, imagePath, signal) {
      await cloneFile(path.join(dir, DISK_FILE), imagePath, signal, { durable: true });
      await syncFolder(path.dirname(imagePath));
    },

    async sync(dir) {
      await syncPath(path.join(dir, DISK_FILE));
      await syncPath(dir);
    },

    async usage({ dir }) {
      const disk = path.join(dir, DISK_FILE);
      return { sizeBytes: (await statOf(disk, 'The disk')).size, allocatedBytes: await allocatedBytes(disk) };
    },

    async check() {},

    // A clone needs its image no more, and there are no devices that could be lost or left.
    imageOf: async () => undefined,
    lost: async () => new Map(),
    list: async () => [],
    async clear() {},
  };
}

async function statOf(file: string, what: string): Promise<{ size: number }> {
  return await stat(file).catch((error: unknown) => {
    throw diskError(`${what} ${file} could not be read`, error);
  });
}

async function exists(file: string): Promise<boolean> {
  return await stat(file).then(
    () => true,
    (error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return false;
      throw diskError(`${file} could not be read`, error);
    },
  );
}
