import { rm, truncate } from 'node:fs/promises';
import path from 'node:path';
import type { Clock } from '../../../clock.ts';
import { DormouseError, hasCode, toDormouseError } from '../../../errors/index.ts';
import type { Logger } from '../../../log.ts';
import type { Accelerator, VmExit, VmmDriver, VmRef, VmSpec, VmStatus } from '../types.ts';
import { type Probe, probeAccelerator } from './accelerator.ts';
import { commandLine, QMP_SOCKET, STATE_FD } from './command-line.ts';
import { findMonitors, isAlive, killMonitor, lastWords, spawnMonitor, waitGone } from './process.ts';
import { Qmp } from './qmp.ts';
import { loadState, openState, STATE_FILE, saveState } from './state.ts';

export interface QemuOptions {
  clock: Clock;
  log: Logger;
  /** Name or path of the program. */
  qemu: string;
  /** `auto`: KVM when it boots a kernel. */
  accelerator: 'auto' | 'kvm' | 'tcg';
  probe: Probe;
}

/** How long a process that was killed may take to be gone, in milliseconds. */
const KILL_LIMIT_MS = 10_000;
/** How often a machine without a QMP connection is looked at, in milliseconds. */
const WATCH_MS = 1_000;
const SAVE_SOCKET = 'state.sock';

/** Virtual machines by QEMU. One QMP connection for each machine, made when it is needed, so that a machine of an agent that died is as good as one of our own. */
export function createQemuDriver(options: QemuOptions): VmmDriver {
  return new QemuDriver(options);
}

class QemuDriver implements VmmDriver {
  readonly kind = 'qemu';
  readonly #options: QemuOptions;
  readonly #connections = new Map<string, Promise<Qmp>>();
  /** Why a machine said that it ends, by its run directory, until somebody asks. */
  readonly #shutdowns = new Map<string, string>();
  #accelerator: Promise<Accelerator> | undefined;

  constructor(options: QemuOptions) {
    this.#options = options;
  }

  accelerator(signal: AbortSignal): Promise<Accelerator> {
    const { accelerator, qemu, probe } = this.#options;
    if (accelerator !== 'auto')
      return Promise.resolve({ name: accelerator, reason: 'as DORMOUSE_ACCELERATOR says' });
    this.#accelerator ??= probeAccelerator(qemu, probe, signal).catch((error: unknown) => {
      this.#accelerator = undefined;
      throw error;
    });
    return this.#accelerator;
  }

  async start(spec: VmSpec, signal: AbortSignal): Promise<VmRef> {
    return await this.#launch(spec, undefined, signal, async () => {});
  }

  async restore(spec: VmSpec, stateDir: string, signal: AbortSignal): Promise<VmRef> {
    const state = await openState(stateDir);
    try {
      return await this.#launch(spec, state.fd, signal, async (qmp) => {
        await loadState(qmp, STATE_FD, signal).catch((error: unknown) => {
          if (signal.aborted) throw error;
          throw new DormouseError('SNAPSHOT_INVALID', `The device state in ${stateDir} cannot be loaded.`, {
            cause: error,
          });
        });
      });
    } finally {
      await state.close();
    }
  }

  async freeze(vm: VmRef, signal: AbortSignal): Promise<void> {
    await (await this.#qmp(vm, signal)).command('stop', {}, signal);
  }

  async thaw(vm: VmRef, signal: AbortSignal): Promise<void> {
    const qmp = await this.#qmp(vm, signal);
    await qmp.command('cont', {}, signal);
    if (!(await queryStatus(qmp, signal)).running)
      throw new DormouseError('VMM_FAILED', 'QEMU took the command to go on, but the vCPUs stand still.');
  }

  async save(vm: VmRef, stateDir: string, signal: AbortSignal): Promise<void> {
    const qmp = await this.#qmp(vm, signal);
    // A save that was completed before (its reply was lost) has handed the disk over; a new one begins from `paused`.
    if ((await queryStatus(qmp, signal)).status === 'postmigrate') {
      await qmp.command('cont', {}, signal);
      await qmp.command('stop', {}, signal);
    }
    await saveState(qmp, stateDir, path.join(vm.runDir, SAVE_SOCKET), signal);
  }

  async discardSave(stateDir: string): Promise<void> {
    await rm(path.join(stateDir, STATE_FILE), { force: true });
  }

  async growDisk(vm: VmRef, sizeBytes: number, signal: AbortSignal): Promise<void> {
    const qmp = await this.#qmp(vm, signal);
    const blocks = (await qmp.command('query-block', {}, signal)) as Array<{
      device: string;
      inserted?: { file: string };
    }>;
    const disk = blocks.find((block) => block.device === 'disk');
    if (!disk?.inserted)
      throw new DormouseError('VMM_FAILED', 'The virtual machine has no disk that could grow.');
    // A regular file grows by itself when it is resized; a block device has its size already.
    await truncate(disk.inserted.file, sizeBytes).catch(() => {});
    await qmp.command('block_resize', { device: 'disk', size: sizeBytes }, signal);
  }

  async stop(
    vm: VmRef | { sandboxId: string; runDir: string },
    graceMs: number,
    signal: AbortSignal,
  ): Promise<void> {
    const { clock } = this.#options;
    const known = 'pid' in vm ? [vm] : [];
    // The context may name none (the agent died before it was told), or one that is gone already.
    const all = [
      ...known,
      ...(await findMonitors(vm.runDir)).filter((found) => !known.some(({ pid }) => pid === found.pid)),
    ];
    for (const each of all) {
      if (!(await isAlive(each))) continue;
      if (graceMs > 0) await this.#askToQuit(each, graceMs, signal);
      if (await waitGone(each, graceMs, clock, signal)) continue;
      await killMonitor(each);
      if (!(await waitGone(each, KILL_LIMIT_MS, clock, signal)))
        throw new DormouseError(
          'VMM_FAILED',
          `The virtual machine monitor ${each.pid} cannot be killed. Its disk may hang.`,
        );
    }
    await this.#disconnect(vm.runDir);
    this.#shutdowns.delete(vm.runDir);
    await rm(path.join(vm.runDir, QMP_SOCKET), { force: true });
  }

  async find(_sandboxId: string, runDir: string): Promise<VmRef | undefined> {
    return (await findMonitors(runDir))[0];
  }

  list(root: string): Promise<VmRef[]> {
    return findMonitors(root);
  }

  async status(vm: VmRef, signal: AbortSignal): Promise<VmStatus> {
    if (!(await isAlive(vm))) return 'gone';
    try {
      return (await queryStatus(await this.#qmp(vm, signal), signal)).running ? 'running' : 'frozen';
    } catch (error) {
      if (hasCode(error, 'VMM_GONE') && !(await isAlive(vm))) return 'gone';
      throw error;
    }
  }

  watch(vm: VmRef, exited: (exit: VmExit) => void): () => void {
    const { clock } = this.#options;
    const stopped = new AbortController();
    const over = async (): Promise<void> => {
      if (stopped.signal.aborted || (await isAlive(vm)) || stopped.signal.aborted) return;
      stopped.abort();
      exited(await this.#exitOf(vm));
    };
    // The connection ends with the process, which is quick; looking now and then covers a connection that was lost.
    void this.#qmp(vm, stopped.signal).then(
      (qmp) => qmp.onClose(() => void waitGone(vm, WATCH_MS, clock, stopped.signal).then(over, () => {})),
      () => {},
    );
    void (async () => {
      while (!stopped.signal.aborted) {
        await clock.sleep(WATCH_MS, stopped.signal);
        await over();
      }
    })().catch(() => {});
    return () => stopped.abort();
  }

  async close(): Promise<void> {
    await Promise.all([...this.#connections.keys()].map((runDir) => this.#disconnect(runDir)));
  }

  /** Starts the monitor, speaks to it, and leaves nothing behind when that fails. */
  async #launch(
    spec: VmSpec,
    stateFd: number | undefined,
    signal: AbortSignal,
    then: (qmp: Qmp) => Promise<void>,
  ): Promise<VmRef> {
    const { name } = await this.accelerator(signal);
    await this.#disconnect(spec.runDir);
    const vm = await spawnMonitor(
      this.#options.qemu,
      commandLine(spec, name, stateFd !== undefined),
      spec,
      stateFd,
    );
    try {
      await then(await this.#qmp(vm, signal));
      return vm;
    } catch (error) {
      await this.stop(vm, 0, AbortSignal.timeout(KILL_LIMIT_MS));
      const words = await lastWords(vm.runDir);
      if (/failed to execute/.test(words))
        throw new DormouseError(
          'VMM_MISSING',
          `${this.#options.qemu} could not be run. Install QEMU (Debian: apt-get install qemu-system-x86), or name it in DORMOUSE_QEMU.`,
          { cause: new Error(words) },
        );
      if (/No space left/.test(words))
        throw new DormouseError(
          'DISK_FULL',
          'There is no space left for the memory of the virtual machine.',
          { cause: new Error(words) },
        );
      if (hasCode(error, 'VMM_GONE'))
        throw new DormouseError(
          stateFd === undefined ? 'VMM_FAILED' : 'SNAPSHOT_INVALID',
          `QEMU ended while it was started: ${words || 'it said nothing'}.`,
          { cause: error },
        );
      throw toDormouseError(error, 'VMM_FAILED', `QEMU could not be started: ${words || 'it said nothing'}.`);
    }
  }

  /** The connection to a machine, made now if there is none. */
  async #qmp(vm: VmRef, signal: AbortSignal): Promise<Qmp> {
    const there = await this.#connections.get(vm.runDir)?.catch(() => undefined);
    if (there && !there.isClosed) return there;
    let alive = true;
    void isAlive(vm).then((answer) => (alive = answer));
    const connecting = Qmp.connect(path.join(vm.runDir, QMP_SOCKET), this.#options.clock, signal, () => {
      void isAlive(vm).then((answer) => (alive = answer));
      return alive;
    });
    this.#connections.set(vm.runDir, connecting);
    const qmp = await connecting;
    qmp.on(({ event, data }) => {
      if (event === 'SHUTDOWN') this.#shutdowns.set(vm.runDir, String(data.reason));
      if (event === 'GUEST_PANICKED') this.#shutdowns.set(vm.runDir, 'guest-panic');
    });
    return qmp;
  }

  async #disconnect(runDir: string): Promise<void> {
    const connection = await this.#connections.get(runDir)?.catch(() => undefined);
    this.#connections.delete(runDir);
    connection?.close();
  }

  async #askToQuit(vm: VmRef, graceMs: number, signal: AbortSignal): Promise<void> {
    const soon = AbortSignal.any([signal, AbortSignal.timeout(graceMs)]);
    try {
      await (await this.#qmp(vm, soon)).command('quit', {}, soon);
    } catch {
      // It may be gone before it answers, or hang; what follows deals with both.
    }
  }

  async #exitOf(vm: VmRef): Promise<VmExit> {
    const reason = this.#shutdowns.get(vm.runDir);
    this.#shutdowns.delete(vm.runDir);
    const words = await lastWords(vm.runDir);
    // The kernel is told to reset when it panics (panic=-1), and the monitor to end at a reset (-no-reboot).
    if (reason === 'guest-shutdown') return { reason: 'guest-shutdown', detail: 'the guest powered off' };
    if (reason === 'guest-reset' || reason === 'guest-panic')
      return { reason: 'guest-panic', detail: 'the guest reset itself, as a kernel does that panics' };
    if (reason) return { reason: 'exited', detail: words || reason };
    return {
      reason: 'killed',
      detail: words || 'the process ended without a word, as one does that is killed',
    };
  }
}

async function queryStatus(qmp: Qmp, signal: AbortSignal): Promise<{ running: boolean; status: string }> {
  return (await qmp.command('query-status', {}, signal)) as { running: boolean; status: string };
}
