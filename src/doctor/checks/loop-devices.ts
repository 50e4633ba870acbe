import type { Check } from '../finding.ts';
import { cannotOpen } from '../probe.ts';

/** Whether files can be made block devices (loop(4)). */
export const checkLoopDevices: Check = async () => {
  const name = 'loop devices';
  const problem = await cannotOpen('/dev/loop-control');
  if (problem === undefined) return { name, status: 'ok', found: 'can be made' };
  return {
    name,
    status: 'note',
    found: problem,
    cost: 'no XFS image can be mounted, so the data directory needs reflinks of its own, and no device-mapper disks',
    remedy: 'run as root, on a kernel with CONFIG_BLK_DEV_LOOP (modprobe loop)',
  };
};
