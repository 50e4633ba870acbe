import { DormouseError } from '../../errors/index.ts';
import { createReflinkDriver } from './reflink/index.ts';
import type { DiskDriver } from './types.ts';

export type { AttachedDisk, DiskDriver, DiskRef, DiskSpec, DiskUsage, Exclusive } from './types.ts';

/**
 * The disk driver of that kind.
 *
 * @throws `CONFIG_INVALID` when this build has no such driver
 */
export function createDiskDriver(kind: DiskDriver['kind']): DiskDriver {
  if (kind === 'reflink') return createReflinkDriver();
  throw new DormouseError(
    'CONFIG_INVALID',
    `There is no disk driver "${kind}" here; set DORMOUSE_DISK_DRIVER to "reflink".`,
  );
}
