import { checkAccelerator } from './checks/accelerator.ts';
import { checkDeviceMapper } from './checks/device-mapper.ts';
import { checkLoopDevices } from './checks/loop-devices.ts';
import { checkNamespaces } from './checks/namespaces.ts';
import { checkReflinks } from './checks/reflinks.ts';
import { checkRoot } from './checks/root.ts';
import { checkSpace } from './checks/space.ts';
import { checkVersions } from './checks/versions.ts';
import type { Check, Examination, Finding } from './finding.ts';

/** In the order in which they are shown. */
const CHECKS: readonly Check[] = [
  checkAccelerator,
  checkRoot,
  checkNamespaces,
  checkReflinks,
  checkLoopDevices,
  checkDeviceMapper,
  checkSpace,
  ...checkVersions,
];

/** Looks at everything that Dormouse needs or can use on this machine. Rejects only with the signal's reason. */
export async function examine(examination: Examination): Promise<Finding[]> {
  return Promise.all(CHECKS.map((check) => check(examination)));
}
