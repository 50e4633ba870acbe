import { readdir, realpath, rename, rm, truncate, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { makeFolder, syncPath } from '../../../durable-file.ts';
import { DormouseError } from '../../../errors/index.ts';
import { isSandboxId } from '../../../ids.ts';
import { seeLoop, seeLoops } from '../../loop/look.ts';
import { allocatedBytes, diskError, filesOf, PARTIAL_SUFFIX } from '../files.ts';
import type { DiskDriver, HeldDevice } from '../types.ts';
import { attachDisk, checkStatus, diskLost } from './attach.ts';
import { captureDisk, cloneDisk } from './clone.ts';
import { cowBytes } from './cow-size.ts';
import { detachDisk } from './detach.ts';
import { loopsUnder, seeDevice, seeDevices } from './devices.ts';
import { dmsetup } from './dmsetup.ts';
import { flattenDisk } from './flatten.ts';
import { Flattenings } from './flattenings.ts';
import { deviceName, flatteningName, ownerOf } from './names.ts';
import type { DeviceMapperPorts } from './ports.ts';
import {
  COW_FILE,
  findRecord,
  imageSectorsOf,
  newRecord,
  RECORD_FILE,
  readRecord,
  sectorsOf,
  writeRecord,
} from './record.ts';
import { parseStatus } from './tables.ts';
import { removeWithoutTable, seeWithoutTable } from './without-table.ts';

const BYTES_PER_MB = 2 ** 20;

/**
 * Disks as device-mapper snapshots: an image that all share as the origin, through one read-only loop device, and a sparse
 * copy-on-write file for each disk, which takes what its guest writes.
 *
 * ```
 * rootfs.ext4 ── loop (read-only, shared) ──────────┐
 *                 └─ …-origin: linear + zero, when  ├─ dormouse-sb-…: snapshot ── virtual machine
 *                    the disk is larger than that   │
 * live/cow ───── loop (the sandbox's own) ──────────┘
 * ```
 *
 * Files of a disk: `cow` and `disk.json`. Commands that change devices run in the host's lane; what has to be seen is read from
 * sysfs. Sources: Documentation/admin-guide/device-mapper of Linux, dmsetup(8), losetup(8).
 */
export function createDeviceMapperDriver(ports: DeviceMapperPorts): DiskDriver {
  const flattenings = new Flattenings();
  const asHeld = (name: string, owner: { sandboxId: string; temporary: boolean }): HeldDevice => {
    const isUsed = owner.temporary && flattenings.isUnderWay(owner.sandboxId);
    return { kind: 'device', name, ...owner, ...(isUsed && { isUsed }) };
  };
  return {
    kind: 'device-mapper',

    async create({ dir, imagePath, sizeMb }, signal) {
      signal.throwIfAborted();
      // A disk that is there is whole, and its guest may have written to it: it stays.
      if (await findRecord(dir)) return;
      const record = await newRecord(await realpathOf(imagePath), sizeMb);
      if (!Number.isSafeInteger(sizeMb) || sectorsOf(record) < imageSectorsOf(record)) {
        const imageMb = Math.ceil(record.image_bytes / BYTES_PER_MB);
        throw new DormouseError(
          'INVALID_SIZE',
          `A disk of ${sizeMb} MiB cannot hold the image of ${imageMb} MiB.`,
          { data: { disk_size_mb: sizeMb, image_size_mb: imageMb } },
        );
      }
      await makeFolder(dir);
      await newCow(path.join(dir, COW_FILE), cowBytes(sectorsOf(record)));
      signal.throwIfAborted();
      await writeRecord(dir, record);
    },

    clone: cloneDisk,

    capture: ({ sandboxId, dir }, toDir, signal) =>
      captureDisk({ device: deviceName(sandboxId), dir }, toDir, signal),

    // The file first: one that is larger than its record says does no harm.
    async grow(dir, sizeMb) {
      const record = await readRecord(dir);
      if (record.size_mb >= sizeMb) return;
      const grown = { ...record, size_mb: sizeMb };
      const cow = path.join(dir, COW_FILE);
      await truncate(cow, cowBytes(sectorsOf(grown))).catch((error: unknown) => {
        throw diskError(`The copy-on-write file ${cow} could not be made larger`, error);
      });
      await writeRecord(dir, grown);
    },

    attach: async ({ sandboxId, dir }, signal) => ({
      path: await attachDisk(ports, { device: deviceName(sandboxId), dir }, signal),
    }),

    detach: ({ sandboxId, dir }, signal) => detachDisk(ports, { device: deviceName(sandboxId), dir }, signal),

    async remove({ sandboxId, dir }, signal) {
      await detachDisk(ports, { device: deviceName(sandboxId), dir }, signal);
      // The record first: what is left without it is no disk.
      for (const name of [RECORD_FILE, ...(await filesOf(dir, COW_FILE))]) {
        await rm(path.join(dir, name), { force: true }).catch((error: unknown) => {
          throw diskError(`${path.join(dir, name)} could not be removed`, error);
        });
      }
    },

    flatten: (disk, imagePath, signal) =>
      flattenings.take(disk.sandboxId, () => flattenDisk(ports, disk, imagePath, signal)),

    async sync(dir) {
      await syncPath(path.join(dir, COW_FILE));
      await syncPath(dir);
    },

    async check({ sandboxId }) {
      const device = deviceName(sandboxId);
      if (seeDevice(device)) await checkStatus(device);
    },

    async usage({ sandboxId, dir }) {
      const record = await readRecord(dir);
      const usage = {
        sizeBytes: record.size_mb * BYTES_PER_MB,
        allocatedBytes: await allocatedBytes(path.join(dir, COW_FILE)),
      };
      const device = deviceName(sandboxId);
      if (!seeDevice(device)) return usage;
      const status = parseStatus(await dmsetup(['status', device])).get('');
      if (status?.condition !== 'valid') throw diskLost(device, status?.condition ?? 'no status');
      const { allocatedSectors, totalSectors, metadataSectors } = status;
      return { ...usage, snapshot: { allocatedSectors, totalSectors, metadataSectors } };
    },

    async imageOf(dir) {
      return (await findRecord(dir))?.image;
    },

    async lost() {
      const lost = new Map<string, DormouseError>();
      if (seeDevices((name) => ownerOf(name)?.temporary === false).length === 0) return lost;
      for (const [device, { condition }] of parseStatus(await dmsetup(['status', '--target', 'snapshot']))) {
        const owner = ownerOf(device);
        if (owner && !owner.temporary && condition !== 'valid')
          lost.set(owner.sandboxId, diskLost(device, condition));
      }
      return lost;
    },

    async list(root) {
      const below = `${await realpath(root).catch(() => root)}/`;
      const devices = seeDevices((name) => ownerOf(name) !== undefined).flatMap((device): HeldDevice[] => {
        const owner = ownerOf(device.name);
        // Another Dormouse of this machine has devices too; whose they are is told by the files under them.
        const isOurs = loopsUnder(device).some(
          (loop) => ports.origins.has(loop) || seeLoop(loop)?.backingFile.startsWith(below),
        );
        if (!owner || !isOurs) return [];
        return [asHeld(device.name, owner)];
      });
      const loops = seeLoops((file) => file.startsWith(below)).flatMap(
        ({ device, backingFile }): HeldDevice[] => {
          const [sandboxId = ''] = backingFile.slice(below.length).split('/');
          return isSandboxId(sandboxId) ? [{ kind: 'loop', name: device, sandboxId, temporary: false }] : [];
        },
      );
      const unfinished = (await unfinishedIn(root)).map(
        ({ name, owner }): HeldDevice => ({ ...asHeld(name, owner), withoutTable: true }),
      );
      return [...devices, ...unfinished, ...loops];
    },

    async clear({ name, kind, sandboxId, temporary, withoutTable }, dir, signal) {
      if (temporary && flattenings.isUnderWay(sandboxId))
        throw new DormouseError('DEVICE_BUSY', `The device ${name} is used again.`);
      if (withoutTable) return await removeWithoutTable([name], ports, signal);
      if (kind === 'loop') await detachDisk(ports, { device: deviceName(sandboxId), dir }, signal);
      else
        await detachDisk(
          ports,
          {
            device: temporary ? flatteningName(sandboxId) : deviceName(sandboxId),
            dir: temporary ? undefined : dir,
          },
          signal,
        );
      if (kind === 'device' && seeDevice(name))
        throw new DormouseError('DEVICE_BUSY', `The device ${name} stays.`);
    },
  };
}

/**
 * Devices that were never given a table. They stand on no file that would tell whose they are; but no disk is attached without its
 * sandbox's folder.
 */
async function unfinishedIn(
  root: string,
): Promise<Array<{ name: string; owner: { sandboxId: string; temporary: boolean } }>> {
  const names = await seeWithoutTable();
  const folders = names.length > 0 ? await readdir(root).catch((): string[] => []) : [];
  return names.flatMap((name) => {
    const owner = ownerOf(name);
    return owner && folders.includes(owner.sandboxId) ? [{ name, owner }] : [];
  });
}

/** A sparse file of zeros, of which the kernel makes a new exception store. It gets its name when it has its size. */
async function newCow(file: string, bytes: number): Promise<void> {
  const partial = `${file}${PARTIAL_SUFFIX}`;
  try {
    // Without a record the disk was never used: what is there was left half-made.
    await rm(file, { force: true });
    await writeFile(partial, '', { mode: 0o600 });
    await truncate(partial, bytes);
    await rename(partial, file);
  } catch (error) {
    await rm(partial, { force: true }).catch(() => {});
    throw diskError(`The copy-on-write file ${file} could not be made`, error);
  }
}

async function realpathOf(imagePath: string): Promise<string> {
  return await realpath(imagePath).catch((error: unknown) => {
    throw diskError(`The image ${imagePath} could not be read`, error);
  });
}
