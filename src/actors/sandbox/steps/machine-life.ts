import { rm } from 'node:fs/promises';
import path from 'node:path';
import type { VmExit, VmRef } from '../../../drivers/vmm/types.ts';
import { hasCode, messageOf } from '../../../errors/index.ts';
import type { Logger } from '../../../log.ts';
import { MEMORY_FILE } from '../../../paths.ts';
import type { SandboxContext } from '../context.ts';
import type { SandboxDrivers, SandboxStep } from '../drivers.ts';
import { readMeta } from '../snapshot-meta.ts';
import { bootToken, runToken } from '../token.ts';
import { GREETING_SLACK_MS, identifyGuest } from './greeting.ts';
import { vmOf, vmSpec } from './vm-spec.ts';

/** How long a monitor that was asked to quit may take before it is killed, in milliseconds. */
const QUIT_GRACE_MS = 2_000;
/** How long a monitor that did not answer is left alone, in milliseconds. */
const ASK_AGAIN_MS = 1_000;
const BYTES_PER_MB = 1024 * 1024;

/** The virtual machine: started, loaded, greeted, watched, stopped. */
export function machineLifeSteps(drivers: SandboxDrivers) {
  const { vmm, guest, clock, checkRoom, pathsOf, guestTimeoutMs } = drivers;
  const undoVmm = ({ id, vm }: SandboxContext, signal: AbortSignal): Promise<void> =>
    vmm.stop(vm ?? { sandboxId: id, runDir: pathsOf(id).run }, QUIT_GRACE_MS, signal);
  /** Cold boot on the disk in `live/`. Memory of an earlier run is thrown away. */
  const boot = async (context: SandboxContext, signal: AbortSignal): Promise<Partial<SandboxContext>> => {
    const paths = pathsOf(context.id);
    await undoVmm(context, signal);
    await rm(path.join(paths.live, MEMORY_FILE), { force: true });
    return { vm: await vmm.start(vmSpec(context, paths), signal) };
  };
  const greet = async (context: SandboxContext, signal: AbortSignal): Promise<Partial<SandboxContext>> => {
    const { execution } = context;
    const endpoint = await identifyGuest(
      drivers,
      context,
      { token: bootToken(context, execution), nextToken: runToken(context, execution) },
      signal,
    );
    await guest.growRoot(endpoint, context.options.disk_size_mb * BYTES_PER_MB, signal);
    return {};
  };

  /**
   * Makes sure that the machine runs; false when it is gone. A monitor that does not answer is asked again: that it is silent
   * is no reason to end a machine that may be well.
   */
  const ensureRunning = async (
    vm: VmRef,
    signal: AbortSignal,
    log: Pick<Logger, 'warn'>,
  ): Promise<boolean> => {
    for (;;) {
      try {
        const status = await vmm.status(vm, signal);
        if (status === 'frozen') await vmm.thaw(vm, signal);
        return status !== 'gone';
      } catch (error) {
        signal.throwIfAborted();
        if (hasCode(error, 'VMM_GONE')) return false;
        log.warn({ err: messageOf(error) }, 'the monitor of a running machine does not answer; asking again');
        await clock.sleep(ASK_AGAIN_MS, signal);
      }
    }
  };

  /** Boots the new sandbox's machine, or loads it from the saved machine that it starts from, with stopped vCPUs. */
  const launchVm: SandboxStep = {
    name: 'launchVm',
    direction: 'forward',
    timeoutMs: 30_000,
    acquires: ['vmm'],
    async run(context, { signal }) {
      if (context.source.kind === 'image') return await boot(context, signal);
      await undoVmm(context, signal);
      return { vm: await vmm.restore(vmSpec(context, pathsOf(context.id)), context.source.dir, signal) };
    },
  };

  /**
   * Lets a loaded guest run, makes it different from every other one, and tells it how large its disk is when that has grown since
   * it was saved. The monitor knows before the guest runs: its driver asks only when it is told.
   *
   * @param stateDir folder that it was loaded from
   */
  const wake = async (
    context: SandboxContext,
    stateDir: string,
    tokens: { token: string; nextToken: string },
    signal: AbortSignal,
  ): Promise<Partial<SandboxContext>> => {
    const grows = context.options.disk_size_mb > (await readMeta(stateDir)).disk_size_mb;
    const sizeBytes = context.options.disk_size_mb * BYTES_PER_MB;
    if (grows) await vmm.growDisk(vmOf(context), sizeBytes, signal);
    await vmm.thaw(vmOf(context), signal);
    const endpoint = await identifyGuest(drivers, context, tokens, signal);
    if (grows) await guest.growRoot(endpoint, sizeBytes, signal);
    return {};
  };

  /** Lets the new sandbox's guest run and makes it different from every other one. */
  const welcomeGuest: SandboxStep = {
    name: 'welcomeGuest',
    direction: 'forward',
    timeoutMs: guestTimeoutMs + GREETING_SLACK_MS,
    async run(context, { signal }) {
      if (context.source.kind === 'image') return await greet(context, signal);
      const { dir } = context.source;
      const { token } = await readMeta(dir);
      return await wake(context, dir, { token, nextToken: runToken(context, context.execution) }, signal);
    },
  };

  /** Lasts as long as the sandbox runs; ends when the machine does. Makes sure that an adopted machine runs. */
  const watchVm: SandboxStep<VmExit> = {
    name: 'watchVm',
    direction: 'undo',
    timeoutMs: Number.POSITIVE_INFINITY,
    async run(context, { signal, log }) {
      const vm = vmOf(context);
      if (!(await ensureRunning(vm, signal, log)))
        return { reason: 'unknown', detail: 'the process was gone when it was looked for' };
      return await new Promise<VmExit>((resolve, reject) => {
        const stop = vmm.watch(vm, resolve);
        const leave = (): void => {
          stop();
          reject(signal.reason);
        };
        if (signal.aborted) leave();
        else signal.addEventListener('abort', leave, { once: true });
      });
    },
  };

  const stop = async (context: SandboxContext, signal: AbortSignal): Promise<Partial<SandboxContext>> => {
    drivers.sessions.cut(context.id);
    await undoVmm(context, signal);
    return { vm: null };
  };

  /**
   * Asks the monitor to quit and kills it after a grace, before a boot. Nothing may cancel this: the disk comes next. A sandbox that
   * had no machine, and so no slot, has to find room for one.
   */
  const stopVm: SandboxStep = {
    name: 'stopVm',
    direction: 'undo',
    timeoutMs: 15_000,
    releases: ['vmm'],
    async run(context, { signal }) {
      if (context.slot === null) checkRoom(context);
      return await stop(context, signal);
    },
  };

  /**
   * Stops a machine that was saved, and no other: until the commit, either the machine or what was saved of it must be there. When
   * a rollback was given up that had let the machine run again, it is not stopped.
   *
   * @throws `SNAPSHOT_INVALID` when the machine lives and its state is not in `live/`
   */
  const retireVm: SandboxStep = {
    ...stopVm,
    name: 'retireVm',
    async run(context, { signal }) {
      const { live, run } = pathsOf(context.id);
      if (await vmm.find(context.id, run)) await readMeta(live);
      return await stop(context, signal);
    },
  };

  /** Loads `snapshot/` on the clone in `live/`, with stopped vCPUs. */
  const restoreVm: SandboxStep = {
    name: 'restoreVm',
    direction: 'forward',
    timeoutMs: 30_000,
    acquires: ['vmm'],
    async run(context, { signal }) {
      const paths = pathsOf(context.id);
      await undoVmm(context, signal);
      return { vm: await vmm.restore(vmSpec(context, paths), paths.snapshot, signal) };
    },
  };

  /** Lets the guest run again, with the right time, fresh entropy and a new token. */
  const wakeGuest: SandboxStep = {
    name: 'wakeGuest',
    direction: 'forward',
    timeoutMs: guestTimeoutMs + GREETING_SLACK_MS,
    async run(context, { signal }) {
      const { execution } = context;
      return await wake(
        context,
        pathsOf(context.id).snapshot,
        { token: runToken(context, execution), nextToken: runToken(context, execution + 1) },
        signal,
      );
    },
  };

  const bootVm: SandboxStep = {
    name: 'bootVm',
    direction: 'forward',
    timeoutMs: 30_000,
    acquires: ['vmm'],
    run: (context, { signal }) => boot(context, signal),
  };

  const greetGuest: SandboxStep = {
    name: 'greetGuest',
    direction: 'forward',
    timeoutMs: guestTimeoutMs + GREETING_SLACK_MS,
    run: (context, { signal }) => greet(context, signal),
  };

  return {
    launchVm,
    welcomeGuest,
    watchVm,
    stopVm,
    retireVm,
    restoreVm,
    wakeGuest,
    bootVm,
    greetGuest,
    undoVmm,
  };
}
