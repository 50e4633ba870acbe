import type { SandboxDrivers, SandboxStep } from '../drivers.ts';
import { captureSteps } from './capture.ts';
import { diskSteps } from './disk.ts';
import { machineLifeSteps } from './machine-life.ts';
import type { SandboxStepName } from './names.ts';
import { releaseSteps } from './release.ts';
import { slotSteps } from './slot.ts';
import { snapshotSteps } from './snapshot.ts';

export { type SandboxStepName, sandboxStepNames } from './names.ts';

/** All steps of a sandbox, by the name that the machine invokes. */
export function sandboxSteps(drivers: SandboxDrivers): Record<SandboxStepName, SandboxStep<unknown>> {
  const { undoLive, undoDisk, ...disk } = diskSteps(drivers);
  const { undoSlot, ...slot } = slotSteps(drivers);
  const { undoVmm, ...machine } = machineLifeSteps(drivers);
  const { undoSnapshot, ...snapshot } = snapshotSteps(drivers);
  const release = releaseSteps(drivers, {
    live: undoLive,
    disk: undoDisk,
    slot: undoSlot,
    vmm: undoVmm,
    snapshot: undoSnapshot,
  });
  return { ...disk, ...slot, ...machine, ...snapshot, ...captureSteps(drivers), ...release };
}
