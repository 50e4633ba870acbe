import { statSync } from 'node:fs';
import path from 'node:path';
import { deviceNumber } from '../../loop/device-number.ts';
import { names, text } from '../../loop/look.ts';

/**
 * What sysfs says of device-mapper devices (Documentation/ABI/testing/sysfs-block-dm of Linux): without a process. Those without a table
 * are not in it (`without-table.ts`).
 */
export interface SeenDevice {
  name: string;
  /** The kernel's name, `dm-N`. */
  block: string;
  /** Size in sectors of 512 bytes; 0 while its table is not active yet. */
  sectors: number;
  /** Without an active table, or stopped while it is exchanged: whoever reads it waits. */
  suspended: boolean;
  /** The kernel's names of the devices that it stands on, `loopN` or `dm-N`. */
  slaves: readonly string[];
}

const SYS_BLOCK = '/sys/block';

/** The devices whose names `isWanted`. The name of every device of the machine is read for it. */
export function seeDevices(isWanted: (name: string) => boolean): SeenDevice[] {
  return names(SYS_BLOCK)
    .filter((block) => block.startsWith('dm-'))
    .flatMap((block) => {
      const name = nameOf(block);
      return name !== undefined && isWanted(name) ? [seen(name, block)] : [];
    });
}

/** The device of that name whose node is there; undefined when there is no such node, or it is another device's. */
export function seeDeviceAt(node: string, name: string): SeenDevice | undefined {
  const found = statSync(node, { throwIfNoEntry: false });
  if (!found?.isBlockDevice()) return undefined;
  const [, minor = ''] = deviceNumber(found.rdev).split(':');
  const block = `dm-${minor}`;
  return nameOf(block) === name ? seen(name, block) : undefined;
}

const nameOf = (block: string): string | undefined => text(path.join(SYS_BLOCK, block, 'dm', 'name'));

function seen(name: string, block: string): SeenDevice {
  const at = path.join(SYS_BLOCK, block);
  return {
    name,
    block,
    sectors: Number(text(path.join(at, 'size')) ?? 0),
    suspended: text(path.join(at, 'dm', 'suspended')) === '1',
    slaves: names(path.join(at, 'slaves')),
  };
}

/** The device of that name, if there is one. */
export function seeDevice(name: string): SeenDevice | undefined {
  return seeDevices((other) => other === name)[0];
}

/** The loop devices, `/dev/loopN`, that the device stands on, also through other devices. */
export function loopsUnder(device: Pick<SeenDevice, 'slaves'>): string[] {
  return device.slaves.flatMap((slave) =>
    slave.startsWith('dm-')
      ? loopsUnder({ slaves: names(path.join(SYS_BLOCK, slave, 'slaves')) })
      : [`/dev/${slave}`],
  );
}
