import { mkdir, realpath, rename, rm } from 'node:fs/promises';
import path from 'node:path';
import { execa } from 'execa';
import { within } from '../../../clock.ts';
import { syncFolder } from '../../../durable-file.ts';
import { seeLoop } from '../../loop/look.ts';
import { cloneFile, diskError, PARTIAL_SUFFIX } from '../files.ts';
import { attachDisk } from './attach.ts';
import { detachDisk } from './detach.ts';
import { loopsUnder, seeDevice } from './devices.ts';
import { deviceName, flatteningName, nodeOf } from './names.ts';
import type { DeviceMapperPorts } from './ports.ts';
import { COW_FILE, readRecord, writeRecord } from './record.ts';

/** How long giving the temporary device back may take, in milliseconds. It does not inherit the signal of what failed. */
const UNDO_LIMIT_MS = 10_000;
/** How often that is tried: no ledger names a device of a few seconds, so nobody else would take the hold on its image back. */
const UNDO_TRIES = 3;
const UNDO_PAUSE_MS = 200;

/**
 * Writes the disk as an image of its own to `imagePath`: the merged view of origin and copy-on-write file, copied sparsely, its file
 * system checked (which replays the journal of a guest that was paused) and made as small as it goes. Of a clone, only what the file
 * system uses is read. Only attaching the
 * device runs in the lane; the copy takes seconds and must not delay anybody.
 *
 * The disk is read through its own device where that is attached, because what was written to it may not have reached
 * the file yet. Otherwise, as when the sandbox's device is that of another folder, it is read through a clone of its file, so
 * that a snapshot is not touched.
 *
 * @throws what `attachDisk` throws; `DISK_FULL`, `DISK_FAILED`; the signal's reason when it aborts. Nothing is left then.
 */
export async function flattenDisk(
  ports: DeviceMapperPorts,
  { sandboxId, dir }: { sandboxId: string; dir: string },
  imagePath: string,
  signal: AbortSignal,
): Promise<void> {
  const partial = `${imagePath}${PARTIAL_SUFFIX}`;
  try {
    if (await isAttached(deviceName(sandboxId), dir))
      await copySparsely(nodeOf(deviceName(sandboxId)), partial, signal);
    else
      await withClone(ports, { sandboxId, dir, work: `${imagePath}.flat` }, signal, async (node) => {
        // A disk is mostly empty, and reading that takes as long as if it were not.
        if (!(await ports.copyFileSystem(node, partial, signal))) await copySparsely(node, partial, signal);
      });
    await ports.shrink(partial, signal);
    await rename(partial, imagePath);
    await syncFolder(path.dirname(imagePath));
  } catch (error) {
    await rm(partial, { force: true }).catch(() => {});
    if (signal.aborted) throw signal.reason;
    throw diskError(`The disk in ${dir} could not be written to ${imagePath}`, error);
  }
}

/** Whether the device is that of the disk in `dir`, and not of a disk that it was copied from. */
async function isAttached(device: string, dir: string): Promise<boolean> {
  const seen = seeDevice(device);
  if (!seen) return false;
  const cow = path.join(await realpath(dir), COW_FILE);
  return loopsUnder(seen).some((loop) => seeLoop(loop)?.backingFile === cow);
}

/** Attaches a clone of the disk while `use` runs. */
async function withClone(
  ports: DeviceMapperPorts,
  { sandboxId, dir, work }: { sandboxId: string; dir: string; work: string },
  signal: AbortSignal,
  use: (node: string) => Promise<void>,
): Promise<void> {
  const device = flatteningName(sandboxId);
  const undo = async (): Promise<void> => {
    await within(ports.clock, UNDO_LIMIT_MS, (undoing) => giveBack(ports, { device, dir: work }, undoing));
    await rm(work, { recursive: true, force: true });
  };
  await undo();
  try {
    await mkdir(work, { mode: 0o700 });
    await cloneFile(path.join(dir, COW_FILE), path.join(work, COW_FILE), signal);
    await writeRecord(work, await readRecord(dir));
    await use(await attachDisk(ports, { device, dir: work }, signal));
  } finally {
    await undo();
  }
}

/** Detaches the clone, also when that fails now and then. */
async function giveBack(
  ports: DeviceMapperPorts,
  clone: { device: string; dir: string },
  signal: AbortSignal,
): Promise<void> {
  for (let tries = 1; ; tries += 1) {
    try {
      return await detachDisk(ports, clone, signal);
    } catch (error) {
      if (signal.aborted || tries === UNDO_TRIES) throw error;
      await ports.clock.sleep(UNDO_PAUSE_MS, signal);
    }
  }
}

/** dd(1) leaves out blocks of zeros, so they become holes. `fsync` so that the image outlives a power cut. */
async function copySparsely(from: string, to: string, signal: AbortSignal): Promise<void> {
  await execa(
    'dd',
    [`if=${from}`, `of=${to}`, 'bs=1M', 'iflag=fullblock', 'conv=sparse,fsync', 'status=none'],
    {
      cancelSignal: signal,
      env: { LC_ALL: 'C' },
    },
  );
}
