import path from 'node:path';
import { makeFolder, syncPath } from '../../../durable-file.ts';
import { cloneFile, diskError } from '../files.ts';
import { ownCowHeader } from './cow-header.ts';
import { cowBytes } from './cow-size.ts';
import { seeDevice } from './devices.ts';
import { nodeOf } from './names.ts';
import { COW_FILE, checkImage, RECORD_FILE, readRecord, sectorsOf, writeRecord } from './record.ts';

/**
 * Makes sure that `toDir` holds a copy of the detached disk in `fromDir`, of `sizeMb` MiB if that is larger.
 *
 * @throws `IMAGE_CHANGED`, `DISK_FULL`, `DISK_FAILED`; the signal's reason when it aborts
 */
export async function cloneDisk(
  fromDir: string,
  toDir: string,
  signal: AbortSignal,
  { sizeMb }: { sizeMb?: number } = {},
): Promise<void> {
  const from = await readRecord(fromDir);
  await checkImage(from);
  const record = { ...from, size_mb: Math.max(from.size_mb, sizeMb ?? 0) };
  await makeFolder(toDir);
  await cloneFile(path.join(fromDir, COW_FILE), path.join(toDir, COW_FILE), signal, {
    sizeBytes: cowBytes(sectorsOf(record)),
  });
  await writeRecord(toDir, record);
}

/**
 * As `cloneDisk`, of a disk that may be attached as `device` and that nobody writes to now. What was written to the device may not
 * have reached the copy-on-write file: it waits in the device's own cache, and the flush has the kernel write it, and the
 * snapshot's metadata, through to the file.
 *
 * @throws what `cloneDisk` throws; `DISK_LOST` when the kernel gave the disk up
 */
export async function captureDisk(
  { device, dir }: { device: string; dir: string },
  toDir: string,
  signal: AbortSignal,
): Promise<void> {
  if (seeDevice(device))
    await syncPath(nodeOf(device)).catch((error: unknown) => {
      throw diskError(`The device ${device} could not be flushed`, error);
    });
  await checkImage(await readRecord(dir));
  await makeFolder(toDir);
  await cloneFile(path.join(dir, COW_FILE), path.join(toDir, COW_FILE), signal);
  // The disk that goes on needs the block of its header for itself again.
  await ownCowHeader(path.join(toDir, COW_FILE));
  // Not written anew: that would wait for the host's disk, while a machine stands still.
  await cloneFile(path.join(dir, RECORD_FILE), path.join(toDir, RECORD_FILE), signal);
}
