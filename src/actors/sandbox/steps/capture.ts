import { createHash } from 'node:crypto';
import { rm } from 'node:fs/promises';
import path from 'node:path';
import { within } from '../../../clock.ts';
import { makeFolder, syncPath } from '../../../durable-file.ts';
import { DormouseError } from '../../../errors/index.ts';
import { MEMORY_FILE, META_FILE } from '../../../paths.ts';
import type { Capture, SandboxContext } from '../context.ts';
import type { SandboxDrivers, SandboxStep } from '../drivers.ts';
import { checkSynced, readMeta } from '../snapshot-meta.ts';
import { runToken } from '../token.ts';
import { guestEndpoint, identifyGuest } from './greeting.ts';
import { vmOf } from './vm-spec.ts';

/** How long a guest may take to write its file systems back, in milliseconds. The copy is taken all the same. */
const GUEST_SYNC_MS = 5_000;

/**
 * Copies of a sandbox that goes on: what forks and templates are made from. A copy is a folder; with memory it can be loaded as
 * a snapshot can.
 */
export function captureSteps(drivers: SandboxDrivers) {
  const { vmm, disk, guest, cloneFile, pathsOf, clock } = drivers;

  /** Has the guest write back what only its own memory holds. It is in the copy already when that has the memory. */
  const syncGuest = (context: SandboxContext, { dir }: Capture, signal: AbortSignal): Promise<unknown> =>
    guest.exec(
      guestEndpoint(context, runToken(context, context.execution)),
      {
        // The same one when this is run again.
        execId: createHash('sha256').update(`sync for ${dir}`).digest('hex').slice(0, 32),
        argv: ['sync'],
        timeoutMs: GUEST_SYNC_MS,
        outputLimitBytes: 0,
      },
      signal,
    );

  /**
   * Gets out of the way what would make the freeze longer. A file is cloned only when its dirty pages are written: those of the memory
   * are written before, so that few are left.
   */
  const settleGuest: SandboxStep = {
    name: 'settleGuest',
    direction: 'forward',
    timeoutMs: 60_000,
    async run(context, { signal }) {
      const capture = captureOf(context);
      const { live } = pathsOf(context.id);
      if (capture.memory) await syncPath(path.join(live, MEMORY_FILE));
      else {
        await within(clock, GUEST_SYNC_MS, (late) =>
          syncGuest(context, capture, AbortSignal.any([signal, late])),
        ).catch(() => {});
      }
      signal.throwIfAborted();
      await disk.sync(live);
      return {};
    },
  };

  /** Makes the folder of a capture anew and has `copy` fill it. When that fails, nothing is left of it. */
  const fill = async ({ dir }: Capture, copy: () => Promise<void>): Promise<Partial<SandboxContext>> => {
    try {
      await rm(dir, { recursive: true, force: true });
      await makeFolder(dir);
      await copy();
      return {};
    } catch (error) {
      // What cannot be removed is nobody's, and goes with the next pass of the janitor.
      await rm(dir, { recursive: true, force: true }).catch(() => {});
      throw error;
    }
  };

  /** What there is beside the disk: the memory, and what loads it. Meta data last: without them the folder cannot be loaded. */
  const copyMemory = async (from: string, to: string, signal: AbortSignal): Promise<void> => {
    for (const file of [MEMORY_FILE, ...vmm.stateFiles, META_FILE])
      await cloneFile(path.join(from, file), path.join(to, file), signal);
  };

  /** Copies `live/` while the vCPUs stand still. */
  const captureLive: SandboxStep = {
    name: 'captureLive',
    direction: 'forward',
    timeoutMs: 60_000,
    async run(context, { signal }) {
      const capture = captureOf(context);
      const { live } = pathsOf(context.id);
      // What was saved belongs to a machine that has not run since, and a disk that is written to is no copy.
      const status = await vmm.status(vmOf(context), signal);
      if (status !== 'frozen')
        throw status === 'gone'
          ? new DormouseError('VMM_GONE', 'The virtual machine ended before it was copied.')
          : new DormouseError(
              'STEP_FAILED',
              'The virtual machine runs; it is copied only when it stands still.',
            );
      return await fill(capture, async () => {
        await disk.capture({ sandboxId: context.id, dir: live }, capture.dir, signal);
        if (capture.memory) await copyMemory(live, capture.dir, signal);
      });
    },
  };

  /** Copies `snapshot/`, which nobody writes to. */
  const captureSnapshot: SandboxStep = {
    name: 'captureSnapshot',
    direction: 'forward',
    timeoutMs: 60_000,
    async run(context, { signal }) {
      const capture = captureOf(context);
      const { snapshot } = pathsOf(context.id);
      if (capture.memory) await checkSynced(snapshot, await readMeta(snapshot));
      return await fill(capture, async () => {
        await disk.clone(snapshot, capture.dir, signal);
        if (capture.memory) await copyMemory(snapshot, capture.dir, signal);
      });
    },
  };

  /** Sets the guest's clock, which stood still, and gives it fresh entropy: its copies have what it had. */
  const setClock: SandboxStep = {
    name: 'setClock',
    direction: 'undo',
    timeoutMs: 5_000,
    async run(context, { signal }) {
      const token = runToken(context, context.execution);
      await identifyGuest(drivers, context, { token, nextToken: token }, signal);
      return {};
    },
  };

  return { settleGuest, captureLive, captureSnapshot, setClock };
}

function captureOf({ capture }: SandboxContext): Capture {
  if (!capture) throw new DormouseError('INTERNAL', 'A sandbox was to be copied, and nobody said where to.');
  return capture;
}
