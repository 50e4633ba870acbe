import type { Check } from '../finding.ts';
import { ask } from '../probe.ts';

/** Whether the kernel makes device-mapper devices for this user. */
export const checkDeviceMapper: Check = async ({ signal }) => {
  const name = 'device-mapper';
  const answer = await ask('dmsetup', 'dmsetup', ['version'], signal);
  const driver = answer.ok ? /^Driver version:\s*(\S+)/m.exec(answer.output)?.[1] : undefined;
  if (driver) return { name, status: 'ok', found: `driver ${driver}` };
  return {
    name,
    status: 'note',
    found: answer.ok ? 'the kernel does not answer' : answer.reason,
    cost: 'disks cannot be device-mapper snapshots; the disk driver `reflink`, which is the default, needs none',
    remedy: 'run as root, on a kernel with CONFIG_BLK_DEV_DM and CONFIG_DM_SNAPSHOT',
  };
};
