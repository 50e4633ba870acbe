import { randomUUID } from 'node:crypto';
import { rename, rm } from 'node:fs/promises';
import path from 'node:path';
import type { HeldDevice } from '../../drivers/disk/types.ts';
import type { VmRef } from '../../drivers/vmm/types.ts';
import { exists } from '../../durable-file.ts';
import { DormouseError } from '../../errors/index.ts';
import type { Actor } from '../system/actor.ts';
import type { LedgerKind, SandboxContext } from './context.ts';
import type { SandboxDrivers, SandboxStep } from './drivers.ts';
import { diskSteps } from './steps/disk.ts';
import { machineLifeSteps } from './steps/machine-life.ts';
import type { Undo } from './steps/release.ts';
import { slotSteps } from './steps/slot.ts';

/**
 * What a sandbox that rests cannot need. A step that gives something back may fail and the machine goes on all the same: a slot
 * that `pausing.releasing` could not give back, a snapshot that `resuming.discarding` could not delete. It stays in the ledger
 * until it is given back here. A stranded sandbox needs everything, and tries again by itself.
 */
const SPARE: Readonly<Record<string, readonly LedgerKind[]>> = {
  running: ['snapshot'],
  paused: ['vmm', 'slot', 'disk', 'live'],
  'crashed.resting': ['vmm', 'slot', 'disk', 'snapshot'],
};

/** The order of giving back: the monitor holds the disk open, and the disk's device stands on its files. */
const ORDER: readonly LedgerKind[] = ['vmm', 'slot', 'disk', 'live', 'snapshot'];

/** The kinds of resources that a sandbox in this state (dotted name) cannot need. */
export function spareIn(state: string): readonly LedgerKind[] {
  return SPARE[state] ?? [];
}

/**
 * What is on the machine for a sandbox, by the kind that a ledger names it as. Processes and devices are told apart: there may be more
 * of them than undoing the kind finds.
 */
export type Found =
  | { kind: 'vmm'; vm: VmRef }
  | { kind: 'disk'; device: HeldDevice }
  | { kind: Exclude<LedgerKind, 'vmm' | 'disk'> };

/**
 * What something on the machine is to the sandbox that it belongs to. `held`: the ledger names it. `spare`: the ledger does not,
 * and the state that the sandbox rests in cannot need it. `unknown`: the ledger does not, and it may be needed.
 *
 * A ledger names one machine, by its process. While an operation is under way, or has stranded, another process may be the one that
 * was just started in its place; where the sandbox rests, it is one too many.
 */
export function standingOf(
  found: Found,
  { state, record: { ledger }, context: { vm } }: Pick<Actor<SandboxContext>, 'state' | 'record' | 'context'>,
): 'held' | 'spare' | 'unknown' {
  const isSpare = spareIn(state).includes(found.kind);
  if (!ledger.some(({ kind }) => kind === found.kind)) return isSpare ? 'spare' : 'unknown';
  // Without a reference nobody knows which one was started.
  if (found.kind !== 'vmm' || vm === null || isSameProcess(found.vm, vm)) return 'held';
  return isSpare || state === 'running' ? 'spare' : 'held';
}

const isSameProcess = (one: VmRef, other: VmRef): boolean =>
  one.pid === other.pid && one.startTicks === other.startTicks;

/**
 * Gives kinds of resources back, and takes each off the ledger when it is gone. To be run while the sandbox rests in a state
 * that cannot need them: nothing else touches them then.
 *
 * @param spare asked when the step begins: kinds that the ledger names, and what is on the machine though it does not
 */
export function tidyStep(
  drivers: SandboxDrivers,
  spare: () => { named: readonly LedgerKind[]; strays: readonly Found[] },
): SandboxStep<LedgerKind[]> {
  const undo = undosOf(drivers);
  const { disk, vmm, pathsOf } = drivers;
  return {
    name: 'tidy',
    direction: 'undo',
    timeoutMs: 10_000,
    async run(context, { released, signal }) {
      const { root, live, snapshot } = pathsOf(context.id);
      const { named, strays } = spare();
      const done: LedgerKind[] = [];
      const giveBack = async (kind: LedgerKind): Promise<void> => {
        if (kind === 'live') {
          await undo.disk(context, signal);
          await removeBeside(live, snapshot, root);
        } else if (kind === 'snapshot') await removeBeside(snapshot, live, root);
        else await undo[kind](context, signal);
      };
      for (const kind of ORDER) {
        const own = strays.filter((stray) => stray.kind === kind);
        for (const stray of own)
          if (stray.kind === 'vmm') await vmm.kill(stray.vm, signal);
          else if (stray.kind === 'disk') await disk.clear(stray.device, live, signal);
          else await giveBack(stray.kind);
        if (named.includes(kind)) {
          await giveBack(kind);
          await released(kind);
        }
        if (own.length > 0 || named.includes(kind)) done.push(kind);
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
