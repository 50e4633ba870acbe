import { access, readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { deviceMapperSupport } from '../../drivers/disk/support.ts';
import type { Check } from '../finding.ts';

/** Where a running udev listens, and where it finds rules (udev(7)). */
const UDEV_CONTROL = '/run/udev/control';
const RULE_FOLDERS = ['/etc/udev/rules.d', '/run/udev/rules.d', '/usr/lib/udev/rules.d', '/lib/udev/rules.d'];
/** How the rule of docs/device-mapper.md knows our devices. */
const OUR_UUIDS = 'DORMOUSE-';

/**
 * Whether disks can be device-mapper snapshots here, as the host decides it when it starts; the kernel's module is loaded
 * for that if it has one. And whether udev, where it runs, leaves them alone.
 */
export const checkDeviceMapper: Check = async ({ config }) => {
  const name = 'device-mapper';
  const support = await deviceMapperSupport();
  if (!support.ok) {
    const isWanted = config.diskDriver === 'device-mapper';
    return {
      name,
      status: isWanted ? 'missing' : 'note',
      found: support.reason,
      cost: isWanted
        ? 'a host does not start: DORMOUSE_DISK_DRIVER is device-mapper'
        : 'new disks are files with reflinks, and those that are device-mapper snapshots cannot be used',
      remedy:
        'run as root, on a kernel with CONFIG_BLK_DEV_DM and CONFIG_DM_SNAPSHOT, with dmsetup installed; see docs/device-mapper.md',
    };
  }
  const found =
    config.diskDriver === 'reflink'
      ? 'works; new disks are files all the same, since DORMOUSE_DISK_DRIVER is reflink'
      : 'works; new disks are snapshots';
  if ((await runsUdev()) && !(await hasRule()))
    return {
      name,
      status: 'note',
      found: `${found}; udev has no rule for them`,
      cost: 'udev reads what guests wrote on their disks as if it were of this machine, and keeps devices open meanwhile',
      remedy: 'put the rule of docs/device-mapper.md into /etc/udev/rules.d',
    };
  return { name, status: 'ok', found };
};

async function runsUdev(): Promise<boolean> {
  return await access(UDEV_CONTROL).then(
    () => true,
    () => false,
  );
}

/** Whether any file of rules knows our devices, whatever it is called. */
async function hasRule(): Promise<boolean> {
  for (const folder of RULE_FOLDERS)
    for (const file of (await readdir(folder).catch(() => [])).filter((file) => file.endsWith('.rules'))) {
      const rules = await readFile(path.join(folder, file), 'utf8').catch(() => '');
      if (rules.includes(OUR_UUIDS)) return true;
    }
  return false;
}
