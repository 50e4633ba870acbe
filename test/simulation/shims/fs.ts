import { errno } from '../world/file-system.ts';
import { sysfsNames, sysfsText } from '../world/sysfs.ts';
import { theWorld } from '../world/world.ts';

/** `node:fs` as Dormouse's code sees it in the simulation: the synchronous looks at sysfs. */

export const constants = { COPYFILE_EXCL: 1, COPYFILE_FICLONE_FORCE: 4 };

export function readFileSync(path: string | URL): string {
  // The package's version is asked for when a service is announced.
  if (String(path).endsWith('package.json')) return '{"version":"0.0.0"}';
  const text = sysfsText(theWorld().blocks, String(path));
  if (text === undefined) throw errno('ENOENT', String(path));
  return text;
}

export function readdirSync(path: string): string[] {
  const names = sysfsNames(theWorld().blocks, path);
  if (!names) throw errno('ENOENT', path);
  return names;
}

/** Nodes below /dev/mapper. Device numbers as makedev(3) makes them, of major number 253. */
export function statSync(path: string): { isBlockDevice(): boolean; rdev: number } | undefined {
  const device = theWorld().blocks.devices.get(path.replace('/dev/mapper/', ''));
  return device && { isBlockDevice: () => true, rdev: (253 << 8) | device.minor };
}
