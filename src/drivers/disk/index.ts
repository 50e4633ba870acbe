import { DormouseError } from '../../errors/index.ts';
import { diskDriverByContent } from './by-content.ts';
import { createDeviceMapperDriver } from './device-mapper/index.ts';
import type { DeviceMapperPorts } from './device-mapper/ports.ts';
import { createReflinkDriver } from './reflink/index.ts';
import { deviceMapperSupport } from './support.ts';
import type { DiskDriver } from './types.ts';

export type { DeviceMapperPorts, Origins } from './device-mapper/ports.ts';
export type {
  AttachedDisk,
  DiskDriver,
  DiskRef,
  DiskSpec,
  DiskUsage,
  Exclusive,
  HeldDevice,
} from './types.ts';

/**
 * The disk driver of a host. `auto`: device-mapper where the kernel has it, reflinks elsewhere.
 *
 * @returns the driver, and why it is this one, for a person
 * @throws `DEPENDENCY_MISSING` when device-mapper was asked for and is not to be had
 */
export async function createDiskDriver(
  wish: DiskDriver['kind'] | 'auto',
  ports: DeviceMapperPorts,
): Promise<{ driver: DiskDriver; reason: string }> {
  const support = await deviceMapperSupport();
  if (wish === 'device-mapper' && !support.ok)
    throw new DormouseError(
      'DEPENDENCY_MISSING',
      `DORMOUSE_DISK_DRIVER is device-mapper, but ${support.reason}. \`dormouse doctor\` says more.`,
    );
  const kind = wish === 'auto' ? (support.ok ? 'device-mapper' : 'reflink') : wish;
  const driver = diskDriverByContent(
    kind,
    createReflinkDriver(),
    support.ok ? createDeviceMapperDriver(ports) : undefined,
    support.ok ? '' : support.reason,
  );
  const found = support.ok ? 'the kernel has device-mapper' : support.reason;
  return { driver, reason: wish === 'auto' ? found : 'as set' };
}
