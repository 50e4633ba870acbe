import { DormouseError } from '../../errors/index.ts';
import { RECORD_FILE } from './device-mapper/record.ts';
import { filesOf } from './files.ts';
import type { DiskDriver } from './types.ts';

/**
 * One driver for disks of both kinds: new ones are of the kind that was chosen, and those that are there are of the kind that
 * their files say. So the setting can be changed, and a data directory be moved to a kernel with device-mapper, without
 * losing a sandbox.
 *
 * @param unsupported why there is no device-mapper here, when there is none
 */
export function diskDriverByContent(
  kind: DiskDriver['kind'],
  reflink: DiskDriver,
  deviceMapper: DiskDriver | undefined,
  unsupported: string,
): DiskDriver {
  const mapped = async (dir: string): Promise<boolean> => (await filesOf(dir, RECORD_FILE)).length > 0;
  const of = async (dir: string): Promise<DiskDriver> => {
    if (!(await mapped(dir))) return reflink;
    if (deviceMapper) return deviceMapper;
    throw new DormouseError(
      'DEPENDENCY_MISSING',
      `This disk is a device-mapper snapshot, and there is no device-mapper here: ${unsupported}.`,
      { data: { dir } },
    );
  };
  return {
    kind,
    create: (spec, signal) =>
      (kind === 'device-mapper' && deviceMapper ? deviceMapper : reflink).create(spec, signal),
    clone: async (fromDir, toDir, signal, options) =>
      (await of(fromDir)).clone(fromDir, toDir, signal, options),
    capture: async (disk, toDir, signal) => (await of(disk.dir)).capture(disk, toDir, signal),
    grow: async (dir, sizeMb) => (await of(dir)).grow(dir, sizeMb),
    attach: async (disk, signal) => (await of(disk.dir)).attach(disk, signal),
    // A device can be there without the files that it belonged to.
    detach: async (disk, signal) => (deviceMapper ?? reflink).detach(disk, signal),
    async remove(disk, signal) {
      await deviceMapper?.remove(disk, signal);
      await reflink.remove(disk, signal);
    },
    flatten: async (disk, imagePath, signal) => (await of(disk.dir)).flatten(disk, imagePath, signal),
    sync: async (dir) => (await of(dir)).sync(dir),
    check: (disk) => (deviceMapper ?? reflink).check(disk),
    usage: async (disk) => (await of(disk.dir)).usage(disk),
    imageOf: async (dir) => ((await mapped(dir)) ? (await of(dir)).imageOf(dir) : undefined),
    lost: () => (deviceMapper ?? reflink).lost(),
    list: (root) => (deviceMapper ?? reflink).list(root),
    clear: (device, dir, signal) => (deviceMapper ?? reflink).clear(device, dir, signal),
  };
}
