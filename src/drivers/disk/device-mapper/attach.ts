import { realpath } from 'node:fs/promises';
import path from 'node:path';
import { within } from '../../../clock.ts';
import { DormouseError } from '../../../errors/index.ts';
import { boundFileId, isBound, type SeenLoop, seeLoop, seeLoops } from '../../loop/look.ts';
import { attachWritable, detachLoop, fileIdOf } from '../../loop/losetup.ts';
import { diskError } from '../files.ts';
import { ownCowHeader } from './cow-header.ts';
import { detachDisk } from './detach.ts';
import { loopsUnder, type SeenDevice, seeDeviceAt, seeDevices } from './devices.ts';
import { dmsetup, failureOf } from './dmsetup.ts';
import { nodeOf, originName, uuidOf } from './names.ts';
import type { DeviceMapperPorts } from './ports.ts';
import { COW_FILE, checkImage, type DiskRecord, imageSectorsOf, readRecord, sectorsOf } from './record.ts';
import { grownOriginTable, parseStatus, snapshotTable } from './tables.ts';
import { removeWithoutTable } from './without-table.ts';

/** A disk that is to be attached: what it is, and the files that it must stand on. */
interface Plan {
  device: string;
  record: DiskRecord;
  cow: string;
  cowId: string;
  imageId: string;
  /** The device that stands on the image's loop and so holds it. */
  holder: string;
}

/** How long an undo may take, in milliseconds. It does not inherit the signal of what failed. */
const UNDO_LIMIT_MS = 10_000;

/**
 * Makes sure that the disk in `dir` is attached as `device`, and returns the path of its node. A device that stands on these
 * very files is used as it is; any other of that name is stale and removed first. The copy-on-write file is never made new.
 *
 * @throws `DISK_LOST`, `DISK_FULL`, `IMAGE_CHANGED`, `DEVICE_BUSY`, `DISK_FAILED`, `LOOP_FAILED`, `DEPENDENCY_MISSING`; the signal's
 * reason when it aborts. Nothing is attached then, unless the undo failed as well: `detachDisk` finds it.
 */
export async function attachDisk(
  ports: DeviceMapperPorts,
  { device, dir }: { device: string; dir: string },
  signal: AbortSignal,
): Promise<string> {
  signal.throwIfAborted();
  const plan = await planOf(device, dir);
  const seen = seeDevices((name) => name === device || name === originName(device));
  const there = seen.find(({ name }) => name === device);
  if (there && (await standsOn(there, plan))) {
    await checkStatus(device);
    // After a restart of the host the registry knows this already, from the kernel.
    await ports.origins.acquire(plan.record.image, plan.holder, signal);
    return nodeOf(device);
  }
  // What an interrupted try left, or a stale device of that name with all that it stands on.
  if (seen.length > 0) await detachDisk(ports, { device, dir }, signal);
  await ownCowHeader(plan.cow);
  try {
    const originLoop = await ports.origins.acquire(plan.record.image, plan.holder, signal);
    await ports.lane(`disk: attach ${device}`, (inLane) => build(plan, originLoop, inLane), signal);
    return nodeOf(device);
  } catch (error) {
    // What is left when this fails too is in the ledger of whom it is attached for.
    await within(ports.clock, UNDO_LIMIT_MS, async (undoing) => {
      await detachDisk(ports, { device, dir }, undoing);
      await removeWithoutTable([device, originName(device)], ports, undoing);
    }).catch(() => {});
    throw error;
  }
}

async function planOf(device: string, dir: string): Promise<Plan> {
  const record = await readRecord(dir);
  await checkImage(record);
  try {
    const cow = path.join(await realpath(dir), COW_FILE);
    return {
      device,
      record,
      cow,
      cowId: await fileIdOf(cow),
      imageId: await fileIdOf(record.image),
      holder: isGrown(record) ? originName(device) : device,
    };
  } catch (error) {
    throw diskError(`The files of the disk in ${dir} could not be read`, error);
  }
}

/** The disk is larger than its image. */
const isGrown = (record: DiskRecord): boolean => sectorsOf(record) > imageSectorsOf(record);

/** Whether the device is the one that would be made: of these files, of this size, and in use. */
async function standsOn(device: SeenDevice, { record, cow, cowId, imageId }: Plan): Promise<boolean> {
  if (device.suspended || device.sectors !== sectorsOf(record)) return false;
  const loops = loopsUnder(device).flatMap((loop) => seeLoop(loop) ?? []);
  const cows = loops.filter((loop) => !loop.readOnly && loop.backingFile === cow && !loop.deleted);
  const origins = loops.filter((loop) => loop.readOnly && !loop.autoclear && !loop.deleted);
  if (loops.length !== 2 || !cows[0] || !origins[0]) return false;
  return (await isBoundTo(cows[0], cowId)) && (await isBoundTo(origins[0], imageId));
}

const isBoundTo = async (loop: SeenLoop, fileId: string): Promise<boolean> =>
  (await boundFileId(loop.device, loop.backingFile)) === fileId;

/** Makes the devices; nothing of them is there. Runs in the lane. */
async function build(plan: Plan, originLoop: string, signal: AbortSignal): Promise<void> {
  const { device, record, cow } = plan;
  await unbind(cow, signal);
  // dmsetup makes a snapshot of an unbound loop device without a word, too: an empty disk.
  await checkOrigin(plan, originLoop);
  const cowLoop = await attachWritable(cow, signal);
  const sectors = sectorsOf(record);
  let origin = originLoop;
  signal.throwIfAborted();
  if (isGrown(record)) {
    origin = nodeOf(originName(device));
    await createDevice(
      originName(device),
      grownOriginTable(originLoop, imageSectorsOf(record), sectors),
      sectors,
    );
  }
  signal.throwIfAborted();
  await createDevice(device, snapshotTable(origin, cowLoop, sectors), sectors);
  // From now on the device keeps both loops; what happened to them before has to be seen now.
  const made = seeDeviceAt(nodeOf(device), device);
  if (!made || !(await standsOn(made, plan)))
    throw new DormouseError('DISK_FAILED', `The device ${device} was made, but is not what was asked for.`, {
      data: { device, found: made ?? null },
    });
}

/**
 * Makes sure that no loop is bound to the file. The kernel would take the same file through two loops without a word, and each
 * would overwrite what the other wrote. One that an interrupted try left is detached.
 *
 * @throws `DEVICE_BUSY` when somebody uses one
 */
async function unbind(cow: string, signal: AbortSignal): Promise<void> {
  const bound = seeLoops((file) => file === cow).filter(({ deleted }) => !deleted);
  for (const { device, users } of bound) if (users.length === 0) await detachLoop(device, signal);
  const left = bound.filter(({ device }) => isBound(device, cow));
  if (left.length > 0)
    throw new DormouseError(
      'DEVICE_BUSY',
      `The copy-on-write file ${cow} is bound already, to ${left.map((loop) => loop.device).join(', ')}.`,
      { data: { file: cow, loops: left } },
    );
}

/** Checks that the origin's loop is bound to the image, whole, and not on its way out. Throws `LOOP_FAILED`. */
async function checkOrigin({ record, imageId }: Plan, originLoop: string): Promise<void> {
  const loop = seeLoop(originLoop);
  const isWhole = loop?.readOnly && !loop.autoclear && loop.sectors === imageSectorsOf(record);
  if (!isWhole || !(await isBoundTo(loop, imageId)))
    throw new DormouseError(
      'LOOP_FAILED',
      `${originLoop} is not bound to the image ${record.image} any more. Somebody else detached it.`,
      { data: { device: originLoop, image: record.image, found: loop ?? null } },
    );
}

async function createDevice(name: string, table: string, sectors: number): Promise<void> {
  const create = (): Promise<string> => dmsetup(['create', name, '--uuid', uuidOf(name)], table);
  await create().catch(async (error: unknown) => {
    // A dmsetup that was killed half-way leaves a device without a table, which sysfs does not show.
    if (failureOf(error) !== 'exists' || seeDevices((other) => other === name).length > 0) throw error;
    await dmsetup(['remove', name]);
    await create();
  });
  const made = seeDeviceAt(nodeOf(name), name);
  if (made?.sectors !== sectors)
    throw new DormouseError(
      'DISK_FAILED',
      made
        ? `The device ${name} has ${made.sectors} sectors instead of ${sectors}.`
        : `The device ${name} was made, but its node ${nodeOf(name)} is not there. Does udev run?`,
    );
}

/** Throws `DISK_LOST` when the kernel gave the snapshot up. */
export async function checkStatus(device: string): Promise<void> {
  const status = parseStatus(await dmsetup(['status', device])).get('');
  if (status && status.condition !== 'valid') throw diskLost(device, status.condition);
}

/** The error for a snapshot that the kernel gave up. */
export function diskLost(device: string, condition: string): DormouseError {
  return new DormouseError(
    'DISK_LOST',
    `The kernel gave the disk up (${condition}): its copy-on-write file could not be written. ${
      condition === 'Overflow'
        ? 'What was written before can still be read.'
        : 'What it held cannot be read any more.'
    }`,
    { data: { device, condition } },
  );
}
