import { DormouseError } from '../../../errors/index.ts';
import type { SeenDevice } from './devices.ts';
import { dmsetup, failureOf } from './dmsetup.ts';
import { nodeOf } from './names.ts';
import { openBy } from './open-by.ts';
import type { DeviceMapperPorts } from './ports.ts';

/**
 * Waits between tries to remove a device that is open, in milliseconds: about a second in all. Long enough for a monitor that is
 * ending, and for udev, which opens every device that somebody wrote to; whoever holds it longer means it.
 */
const RETRY_MS = [50, 100, 150, 250, 450];

/**
 * Makes sure that the device is gone. Tries again only while the kernel says that it is open; every other error
 * comes back at once. The lane is free between two tries.
 *
 * @throws `DEVICE_BUSY` with who holds it open; `DISK_FAILED`, `DEPENDENCY_MISSING`; the signal's reason as soon as it aborts
 */
export async function removeDevice(
  { name, block }: Pick<SeenDevice, 'name' | 'block'>,
  { lane, clock }: Pick<DeviceMapperPorts, 'lane' | 'clock'>,
  signal: AbortSignal,
): Promise<void> {
  for (let tries = 1; ; tries += 1) {
    signal.throwIfAborted();
    try {
      await lane(`disk: remove ${name}`, () => dmsetup(['remove', name]), signal);
      return;
    } catch (error) {
      signal.throwIfAborted();
      if (failureOf(error) === 'absent') return;
      const delayMs = RETRY_MS[tries - 1];
      if (failureOf(error) !== 'busy') throw error;
      if (delayMs === undefined) throw await busy(name, block, tries, error as DormouseError);
      await clock.sleep(delayMs, signal);
    }
  }
}

async function busy(
  name: string,
  block: string,
  tries: number,
  error: DormouseError,
): Promise<DormouseError> {
  const holders = await openBy([nodeOf(name), `/dev/${block}`]);
  const who = holders.length > 0 ? `by ${holders.join(', ')}` : 'by somebody who cannot be seen from here';
  return new DormouseError(
    'DEVICE_BUSY',
    `The device ${name} could not be removed in ${tries} tries: it is held open ${who}.`,
    { data: { ...error.data, tries, open_by: holders }, cause: error },
  );
}
