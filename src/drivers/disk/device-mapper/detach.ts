import { realpath } from 'node:fs/promises';
import { DormouseError } from '../../../errors/index.ts';
import { type SeenLoop, seeLoop, seeLoops } from '../../loop/look.ts';
import { detachLoop } from '../../loop/losetup.ts';
import { loopsUnder, seeDevice } from './devices.ts';
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
 * @param dir folder whose files' loops are the disk's, wherever its device leads; undefined to go by the device alone
 * @throws `DEVICE_BUSY` when a device or loop is held open by somebody; what was there before it is there still.
 * `DISK_FAILED`, `LOOP_FAILED`; the signal's reason when it aborts
 */
export async function detachDisk(
  ports: DeviceMapperPorts,
  { device, dir }: { device: string; dir: string | undefined },
  signal: AbortSignal,
): Promise<void> {
  signal.throwIfAborted();
  const folder = dir === undefined ? undefined : await realpath(dir).catch(() => dir);
  // Which loops it stands on can only be seen as long as it is there.
  const under = loopsUnder(seeDevice(device) ?? { slaves: [] }).flatMap((loop) => seeLoop(loop) ?? []);
  const inFolder = folder === undefined ? [] : seeLoops((file) => file.startsWith(`${folder}/`));
  const loops = [...under, ...inFolder].filter((loop) => !loop.readOnly);

  await removeDevice(device, ports, signal);
  await removeDevice(originName(device), ports, signal);
  if (loops.length > 0) await detachLoops(ports, loops, signal);
  await ports.origins.release(device, signal);
  await ports.origins.release(originName(device), signal);
}

/** Detaches loops and waits until they are gone: losetup succeeds, and detaches later, when somebody has one open. */
async function detachLoops(
  { lane, clock }: DeviceMapperPorts,
  loops: readonly SeenLoop[],
  signal: AbortSignal,
): Promise<void> {
  const left = (): SeenLoop[] => {
    const devices = [...new Set(loops.map(({ device }) => device))];
    const files = new Set(loops.map(({ backingFile }) => backingFile));
    return devices.flatMap((device) => seeLoop(device) ?? []).filter((now) => files.has(now.backingFile));
  };
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
