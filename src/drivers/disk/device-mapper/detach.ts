import { realpath } from 'node:fs/promises';
import { DormouseError } from '../../../errors/index.ts';
import { isBound, type SeenLoop, seeLoop, seeLoops } from '../../loop/look.ts';
import { detachLoop } from '../../loop/losetup.ts';
import { loopsUnder, seeDevices } from './devices.ts';
import { originName } from './names.ts';
import type { DeviceMapperPorts } from './ports.ts';
import { removeDevice } from './remove-device.ts';

/**
 * Waits before looking again whether a detached loop is gone, in milliseconds: it goes at its last close, and every
 * `losetup --list` of anybody opens it for a moment.
 */
const SETTLE_MS = [5, 20, 50, 100, 200, 400];

/**
 * Makes sure that nothing of a disk is attached: first the device, then the one that made its origin longer, then the loops of
 * the copy-on-write file, and the hold on the image last. So whatever this is interrupted after, nothing stands on something
 * that is not there any more.
 *
 * @param device name of the disk's device
 * @param dir folder of the disk: when its device stands on none, loops of files in it are what is left; undefined to go by the
 * device alone
 * @throws `DEVICE_BUSY` when a device or loop is held open by somebody; what was there before it is there still.
 * `DISK_FAILED`, `LOOP_FAILED`; the signal's reason when it aborts
 */
export async function detachDisk(
  ports: DeviceMapperPorts,
  { device, dir }: { device: string; dir: string | undefined },
  signal: AbortSignal,
): Promise<void> {
  signal.throwIfAborted();
  const seen = seeDevices((name) => name === device || name === originName(device));
  const disk = seen.find(({ name }) => name === device);
  const origin = seen.find(({ name }) => name === originName(device));
  // Which loops it stands on can only be seen as long as it is there; when it is not, the folder tells.
  const under = (disk ? loopsUnder(disk) : []).flatMap((loop) => seeLoop(loop) ?? []);
  const written = under.filter((loop) => !loop.readOnly);
  const loops = written.length > 0 ? written : await loopsIn(dir);

  if (disk) await removeDevice(disk, ports, signal);
  if (origin) await removeDevice(origin, ports, signal);
  if (loops.length > 0) await detachLoops(ports, loops, signal);
  await ports.origins.release(device, signal);
  await ports.origins.release(originName(device), signal);
}

/** The loops of files in the folder: what is left of a disk whose device is not there. */
async function loopsIn(dir: string | undefined): Promise<SeenLoop[]> {
  if (dir === undefined) return [];
  const folder = await realpath(dir).catch(() => dir);
  return seeLoops((file) => file.startsWith(`${folder}/`)).filter((loop) => !loop.readOnly);
}

/** Detaches loops and waits until they are gone: losetup succeeds, and detaches later, when somebody has one open. */
async function detachLoops(
  { lane, clock }: DeviceMapperPorts,
  loops: readonly SeenLoop[],
  signal: AbortSignal,
): Promise<void> {
  const left = (): SeenLoop[] => loops.filter(({ device, backingFile }) => isBound(device, backingFile));
  await lane(
    'disk: detach loops',
    async () => {
      for (const { device } of left()) await detachLoop(device, signal);
    },
    signal,
  );
  for (const delayMs of SETTLE_MS) {
    if (left().length === 0) return;
    await clock.sleep(delayMs, signal);
  }
  const [stays] = left();
  if (stays)
    throw new DormouseError(
      'DEVICE_BUSY',
      `${stays.device} of ${stays.backingFile} was detached, but somebody holds it open; the kernel frees it at its last close.`,
      { data: { device: stays.device, file: stays.backingFile, users: stays.users } },
    );
}
