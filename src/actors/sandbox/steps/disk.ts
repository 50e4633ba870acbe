import { rm } from 'node:fs/promises';
import path from 'node:path';
import { within } from '../../../clock.ts';
import { makeFolder } from '../../../durable-file.ts';
import { MEMORY_FILE } from '../../../paths.ts';
import type { SandboxContext } from '../context.ts';
import type { SandboxDrivers, SandboxStep } from '../drivers.ts';
import { checkSynced, readMeta } from '../snapshot-meta.ts';

/** How long removing a disk may take, in milliseconds. It does not inherit the signal of what failed. */
const UNDO_LIMIT_MS = 10_000;

/** Disk and memory files: made, cloned, attached, detached. */
export function diskSteps({ disk, cloneFile, checkSpace, checkRoom, pathsOf, clock }: SandboxDrivers) {
  /** Makes sure that `live/` is there and empty: what an interrupted try left is worth nothing. */
  const emptyLive = async (context: SandboxContext): Promise<string> => {
    const { live, run } = pathsOf(context.id);
    await undoLive(context);
    await makeFolder(live);
    await makeFolder(run);
    return live;
  };
  const undoLive = async ({ id }: SandboxContext): Promise<void> => {
    const { live } = pathsOf(id);
    await within(clock, UNDO_LIMIT_MS, (signal) => disk.remove({ sandboxId: id, dir: live }, signal));
    await rm(live, { recursive: true, force: true });
  };
  const undoDisk = ({ id }: SandboxContext, signal: AbortSignal): Promise<void> =>
    disk.detach({ sandboxId: id, dir: pathsOf(id).live }, signal);

  /** Makes sure that `live/` holds the new sandbox's disk, and its memory when it starts from a saved machine. */
  const makeDisk: SandboxStep = {
    name: 'makeDisk',
    direction: 'forward',
    timeoutMs: 60_000,
    acquires: ['live', 'disk'],
    async run(context, { signal }) {
      const live = await emptyLive(context);
      if (context.source.kind === 'image') {
        await disk.create(
          {
            sandboxId: context.id,
            dir: live,
            imagePath: context.source.imagePath,
            sizeMb: context.options.disk_size_mb,
          },
          signal,
        );
      } else {
        const sizeMb = context.options.disk_size_mb;
        await disk.clone(context.source.dir, live, signal, { sizeMb });
        await cloneFile(path.join(context.source.dir, MEMORY_FILE), path.join(live, MEMORY_FILE), signal);
      }
      return { diskPath: (await disk.attach({ sandboxId: context.id, dir: live }, signal)).path };
    },
  };

  /** Makes sure that `live/` is a clone of `snapshot/`, which is not touched. */
  const cloneSnapshot: SandboxStep = {
    name: 'cloneSnapshot',
    direction: 'forward',
    timeoutMs: 60_000,
    acquires: ['live'],
    async run(context, { signal }) {
      const { snapshot } = pathsOf(context.id);
      checkRoom(context);
      await checkSpace();
      await checkSynced(snapshot, await readMeta(snapshot));
      const live = await emptyLive(context);
      // It may have been made larger since.
      await disk.clone(snapshot, live, signal, { sizeMb: context.options.disk_size_mb });
      await cloneFile(path.join(snapshot, MEMORY_FILE), path.join(live, MEMORY_FILE), signal);
      return {};
    },
  };

  const attachDisk: SandboxStep = {
    name: 'attachDisk',
    direction: 'forward',
    timeoutMs: 15_000,
    acquires: ['disk'],
    run: async ({ id }, { signal }) => ({
      diskPath: (await disk.attach({ sandboxId: id, dir: pathsOf(id).live }, signal)).path,
    }),
  };

  /** The virtual machine is gone before this begins: it holds the device open. */
  const detachDisk: SandboxStep = {
    name: 'detachDisk',
    direction: 'forward',
    timeoutMs: 15_000,
    releases: ['disk'],
    async run(context, { signal }) {
      // Nothing could be resumed from a disk that the kernel has given up.
      await disk.check({ sandboxId: context.id, dir: pathsOf(context.id).live });
      await undoDisk(context, signal);
      return { diskPath: null };
    },
  };

  return { makeDisk, cloneSnapshot, attachDisk, detachDisk, undoLive, undoDisk };
}
