import { randomUUID } from 'node:crypto';
import { rm } from 'node:fs/promises';
import path from 'node:path';
import { bootId } from '../../../boot-id.ts';
import { exists, renameDurably, syncPath } from '../../../durable-file.ts';
import { DormouseError } from '../../../errors/index.ts';
import type { Logger } from '../../../log.ts';
import { MEMORY_FILE, META_FILE, type SandboxPaths } from '../../../paths.ts';
import type { SandboxContext } from '../context.ts';
import type { SandboxDrivers, SandboxStep } from '../drivers.ts';
import { markSynced, readMeta, removeMeta, writeMeta } from '../snapshot-meta.ts';
import { runToken } from '../token.ts';
import { diskSteps } from './disk.ts';
import { identifyGuest } from './greeting.ts';
import { vmOf, vmSpec } from './vm-spec.ts';

/** Makes sure that there is no `snapshot/`. Out of the way first, which is quick and is over with a power cut; the deleting can wait. */
async function throwAway(
  { root, snapshot }: Pick<SandboxPaths, 'root' | 'snapshot'>,
  log: Pick<Logger, 'warn'>,
): Promise<void> {
  if (!(await exists(snapshot))) return;
  const trash = path.join(root, `trash-${randomUUID().slice(0, 8)}`);
  await renameDurably(snapshot, trash);
  void rm(trash, { recursive: true, force: true }).catch((error: unknown) =>
    log.warn({ err: error, trash }, 'an old snapshot could not be deleted yet'),
  );
}

function nothingLeft(id: string): DormouseError {
  return new DormouseError('SNAPSHOT_INVALID', `The folder of ${id} has neither live/ nor snapshot/.`);
}

/** Saving a running machine and the way back from each point of it. */
export function snapshotSteps(drivers: SandboxDrivers) {
  const { vmm, disk, sessions, clock, checkRoom, pathsOf } = drivers;
  const { undoLive } = diskSteps(drivers);

  /** A folder that a machine writes to must never be loadable: what `saveVm` wrote goes before the vCPUs do. */
  const discardSave = async (paths: SandboxPaths): Promise<void> => {
    await removeMeta(paths.live);
    await vmm.discardSave(paths.live);
  };

  /** Cuts what is open to the guest. Its programs go on, and who waits for one attaches again. */
  const drain: SandboxStep = {
    name: 'drain',
    direction: 'forward',
    timeoutMs: 2_000,
    async run({ id }) {
      sessions.cut(id);
      return {};
    },
  };

  const freezeVcpus: SandboxStep = {
    name: 'freezeVcpus',
    direction: 'forward',
    timeoutMs: 10_000,
    async run(context, { signal }) {
      await vmm.freeze(vmOf(context), signal);
      return {};
    },
  };

  /** Device state and meta data into `live/`. Freezes again: after a restart of the agent nobody knows. */
  const saveVm: SandboxStep = {
    name: 'saveVm',
    direction: 'forward',
    timeoutMs: 60_000,
    async run(context, { signal }) {
      const { live } = pathsOf(context.id);
      const vm = vmOf(context);
      if ((await vmm.status(vm, signal)) === 'running') await vmm.freeze(vm, signal);
      const meta = {
        v: 1,
        sandbox_id: context.id,
        created_at: new Date(clock.nowMs()).toISOString(),
        vcpus: context.options.vcpus,
        memory_mb: context.options.memory_mb,
        disk_size_mb: context.options.disk_size_mb,
        mac: context.mac,
        hostname: context.id,
        token: runToken(context, context.execution),
        kernel_path: context.kernel.kernelPath,
        initrd_path: context.kernel.initrdPath,
        boot_id: await bootId(),
      } as const;
      // Side by side: each waits for the disk. Both have ended when this does, so that a way back finds nothing at work.
      const written = await Promise.allSettled([vmm.save(vm, live, signal), writeMeta(live, meta)]);
      for (const { status, ...result } of written)
        if (status === 'rejected') throw (result as PromiseRejectedResult).reason;
      return {};
    },
  };

  const thawVcpus: SandboxStep = {
    name: 'thawVcpus',
    direction: 'undo',
    timeoutMs: 15_000,
    async run(context, { signal }) {
      await discardSave(pathsOf(context.id));
      await vmm.thaw(vmOf(context), signal);
      return {};
    },
  };

  /** The commit of a pause: `live/` becomes `snapshot/`. Before it the sandbox is running or can be made so; after it, it is paused. */
  const commitSnapshot: SandboxStep = {
    name: 'commitSnapshot',
    direction: 'undo',
    timeoutMs: 15_000,
    acquires: ['snapshot'],
    releases: ['live'],
    async run({ id }, { log }) {
      const { live, snapshot } = pathsOf(id);
      if (await exists(live)) {
        // The way through a failed rollback leads here too, and then there may be nothing that could be loaded.
        await readMeta(live);
        // One that a resume could not delete: this machine came from it, and is ahead of it.
        await throwAway(pathsOf(id), log);
        await renameDurably(live, snapshot);
      } else if (!(await exists(snapshot))) throw nothingLeft(id);
      return {};
    },
  };

  /** Rolls a pause back after the machine was stopped: starts it again from the state just written. */
  const relaunchVm: SandboxStep = {
    name: 'relaunchVm',
    direction: 'undo',
    timeoutMs: 60_000,
    acquires: ['live', 'disk', 'vmm'],
    releases: ['snapshot'],
    async run(context, { signal }) {
      const paths = pathsOf(context.id);
      if (!(await exists(paths.live))) {
        if (!(await exists(paths.snapshot))) throw nothingLeft(context.id);
        await renameDurably(paths.snapshot, paths.live);
      }
      const { path: diskPath } = await disk.attach({ sandboxId: context.id, dir: paths.live }, signal);
      // Without meta data an earlier run of this step had come as far as the thaw: the machine that is there is the one.
      const loaded = (await exists(path.join(paths.live, META_FILE)))
        ? undefined
        : await vmm.find(context.id, paths.run);
      if (!loaded) await vmm.stop({ sandboxId: context.id, runDir: paths.run }, 0, signal);
      const vm = loaded ?? (await vmm.restore(vmSpec({ ...context, diskPath }, paths), paths.live, signal));
      await discardSave(paths);
      try {
        await vmm.thaw(vm, signal);
        const token = runToken(context, context.execution);
        await identifyGuest(drivers, context, { token, nextToken: token }, signal);
      } catch (error) {
        // The saved state is gone, as it must be before a thaw: what is left is the disk.
        throw new DormouseError(
          'VMM_GONE',
          'The pause failed and the virtual machine did not go on. The disk is kept.',
          { cause: error },
        );
      }
      return { vm, diskPath };
    },
  };

  /** Waits until memory and disk of a snapshot of this boot are on the host's disk, and notes it. Nobody waits for this. */
  const flushSnapshot: SandboxStep = {
    name: 'flushSnapshot',
    direction: 'undo',
    timeoutMs: 600_000,
    async run({ id }, { signal }) {
      const { snapshot } = pathsOf(id);
      // What a power cut has taken does not come back by being synced now: the mark would make it loadable.
      const meta = await readMeta(snapshot).catch(() => undefined);
      if (meta?.boot_id !== (await bootId())) return {};
      await syncPath(path.join(snapshot, MEMORY_FILE));
      await disk.sync(snapshot);
      if (!signal.aborted && (await exists(snapshot))) await markSynced(snapshot);
      return {};
    },
  };

  /** The resumed guest runs: what it came from goes. */
  const discardSnapshot: SandboxStep = {
    name: 'discardSnapshot',
    direction: 'undo',
    timeoutMs: 30_000,
    releases: ['snapshot'],
    async run({ id }, { log }) {
      await throwAway(pathsOf(id), log);
      return {};
    },
  };

  /**
   * Gives the saved memory up and makes `snapshot/` the `live/` of a machine that will boot. The memory goes before the rename: from
   * then on the folder is a disk and nothing that could be loaded. The disk grows before that: while there is no room for it, the
   * memory is kept, and can be loaded on the larger disk as well. So it is while a `live/` that a resume left cannot be cleared.
   */
  const forgetMemory: SandboxStep = {
    name: 'forgetMemory',
    direction: 'undo',
    timeoutMs: 15_000,
    acquires: ['live'],
    releases: ['snapshot'],
    async run(context) {
      const { id, options } = context;
      const { live, snapshot } = pathsOf(id);
      if (!(await exists(snapshot))) return {};
      // While it cannot be booted, its memory is not given up.
      checkRoom({ id, options });
      await undoLive(context);
      await disk.grow(snapshot, options.disk_size_mb);
      await removeMeta(snapshot);
      await vmm.discardSave(snapshot);
      await rm(path.join(snapshot, MEMORY_FILE), { force: true });
      await renameDurably(snapshot, live);
      return {};
    },
  };

  const undoSnapshot = ({ id }: SandboxContext): Promise<void> =>
    rm(pathsOf(id).snapshot, { recursive: true, force: true });

  return {
    drain,
    freezeVcpus,
    saveVm,
    thawVcpus,
    commitSnapshot,
    relaunchVm,
    flushSnapshot,
    discardSnapshot,
    forgetMemory,
    undoSnapshot,
  };
}
