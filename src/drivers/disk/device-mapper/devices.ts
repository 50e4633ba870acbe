import path from 'node:path';
import { names, text } from '../../loop/look.ts';

/** What sysfs says of device-mapper devices (Documentation/ABI/testing/sysfs-block-dm of Linux): without a process. */
export interface SeenDevice {
  name: string;
  /** The kernel's name, `dm-N`. */
  block: string;
  /** Size in sectors of 512 bytes; 0 when it has no table yet. */
  sectors: number;
  /** Without an active table, or stopped while it is exchanged: whoever reads it waits. */
  suspended: boolean;
  /** The kernel's names of the devices that it stands on, `loopN` or `dm-N`. */
  slaves: readonly string[];
}

const SYS_BLOCK = '/sys/block';

/** The devices whose names `isWanted`. */
export function seeDevices(isWanted: (name: string) => boolean): SeenDevice[] {
  return names(SYS_BLOCK)
    .filter((block) => block.startsWith('dm-'))
    .flatMap((block) => {
      const at = path.join(SYS_BLOCK, block);
      const name = text(path.join(at, 'dm', 'name'));
      if (name === undefined || !isWanted(name)) return [];
      return [
        {
          name,
          block,
          sectors: Number(text(path.join(at, 'size')) ?? 0),
          suspended: text(path.join(at, 'dm', 'suspended')) === '1',
          slaves: names(path.join(at, 'slaves')),
        },
      ];
    });
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
