import { randomUUID } from 'node:crypto';
import { rename, rm } from 'node:fs/promises';
import path from 'node:path';
import { exists } from '../../durable-file.ts';
import { DormouseError } from '../../errors/index.ts';
import type { LedgerKind } from './context.ts';
import type { SandboxDrivers, SandboxStep } from './drivers.ts';
import { diskSteps } from './steps/disk.ts';
import { machineLifeSteps } from './steps/machine-life.ts';
import type { Undo } from './steps/release.ts';
import { slotSteps } from './steps/slot.ts';

/**
 * What a sandbox that rests cannot need. A step that gives something back may fail and the machine goes on all the same: a slot
 * that `pausing.releasing` could not give back, a snapshot that `resuming.discarding` could not delete. It stays in the ledger
 * until it is given back here. A stranded sandbox needs everything, and tries again by itself.
 *
 * The order is that of giving back: the monitor holds the disk open, and the disk's device stands on its files.
 */
const SPARE: Readonly<Record<string, readonly LedgerKind[]>> = {
  running: ['snapshot'],
  paused: ['vmm', 'slot', 'disk', 'live'],
  'crashed.resting': ['vmm', 'slot', 'disk', 'snapshot'],
};

/** The kinds of resources that a sandbox in this state (dotted name) cannot need, in the order of giving back. */
export function spareIn(state: string): readonly LedgerKind[] {
  return SPARE[state] ?? [];
}

/**
 * Gives kinds of resources back, and takes each off the ledger when it is gone. To be run while the sandbox rests in a state
 * that cannot need them: nothing else touches them then.
 *
 * @param kinds asked for when the step begins; given back in this order
 */
export function tidyStep(
  drivers: SandboxDrivers,
  kinds: () => readonly LedgerKind[],
): SandboxStep<LedgerKind[]> {
  const undo = undosOf(drivers);
  const { pathsOf } = drivers;
  return {
    name: 'tidy',
    direction: 'undo',
    timeoutMs: 10_000,
    async run(context, { ledger, released, signal }) {
      const { root, live, snapshot } = pathsOf(context.id);
      const done: LedgerKind[] = [];
      for (const kind of kinds()) {
        if (kind === 'live') {
          await undo.disk(context, signal);
          await removeBeside(live, snapshot, root);
        } else if (kind === 'snapshot') await removeBeside(snapshot, live, root);
        else await undo[kind](context, signal);
        if (ledger.some((entry) => entry.kind === kind)) await released(kind);
        done.push(kind);
      }
      return done;
    },
  };
}

/**
 * Removes a folder if the other one is there: of the two folders that a sandbox can be in, the last one never goes, whatever state
 * and ledger say. It is moved away first and looked at again, since a step that was given up may be renaming one to the other.
 */
async function removeBeside(folder: string, other: string, root: string): Promise<void> {
  if (!(await exists(folder))) return;
  if (!(await exists(other))) throw lastOne(folder, other);
  const trash = path.join(root, `trash-${randomUUID().slice(0, 8)}`);
  await rename(folder, trash);
  if (!(await exists(other))) {
    await rename(trash, folder);
    throw lastOne(folder, other);
  }
  await rm(trash, { recursive: true, force: true });
}

function lastOne(folder: string, other: string): DormouseError {
  return new DormouseError('STEP_FAILED', `${folder} stays: ${other} is not there.`);
}

function undosOf(drivers: SandboxDrivers): Record<Exclude<LedgerKind, 'live' | 'snapshot'>, Undo> {
  return {
    disk: diskSteps(drivers).undoDisk,
    slot: slotSteps(drivers).undoSlot,
    vmm: machineLifeSteps(drivers).undoVmm,
  };
}
