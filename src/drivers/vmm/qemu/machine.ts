import type { ChildProcess } from 'node:child_process';
import { rm } from 'node:fs/promises';
import type { Clock } from '../../../clock.ts';
import { DormouseError } from '../../../errors/index.ts';
import type { Logger } from '../../../log.ts';
import { unlessAborted } from '../../../unless-aborted.ts';
import type { VmExit, VmRef } from '../types.ts';
import { withDeadline } from './abort.ts';
import { pidFile, qmpSocket, stateSocket } from './command-line.ts';
import { lastLogLine } from './log-file.ts';
import { isAlive, killProcess } from './proc.ts';
import { QmpClient } from './qmp.ts';
import type { QmpCommand, QmpCommands, QmpEvent } from './qmp-commands.ts';

/** Longest time until QEMU's monitor greets, in milliseconds. It takes 50 on an idle machine. */
const CONNECT_MS = 10_000;
const CONNECT_RETRY_MS = 3;
/** How often a process is looked at: one that was told to end, and one that nobody expects to. In milliseconds. */
const ENDING_POLL_MS = 2;
const VIGIL_POLL_MS = 250;
/** How long a process may take to be gone after its monitor closed the connection, in milliseconds. */
const GONE_AFTER_MS = 1_000;

export interface MachinePorts {
  clock: Clock;
  log: Logger;
}

/** How a process ended, as its parent is told. */
interface ChildExit {
  code: number | null;
  signal: NodeJS.Signals | null;
}

/**
 * One QEMU process as this agent knows it, whether it started it or found it: the connection to its monitor, which is made
 * when it is first needed, and its end.
 */
export class Machine {
  readonly ref: VmRef;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #closing = new AbortController();
  readonly #watchers = new Set<(exit: VmExit) => void>();
  /** Resolves when the process, a child of this one, has ended. Undefined for a process that another agent started. */
  readonly #childExit: Promise<ChildExit> | undefined;
  readonly #child: ChildProcess | undefined;
  #monitor: QmpClient | undefined;
  #connecting: Promise<QmpClient> | undefined;
  #vigil: Promise<void> | undefined;
  #shutdownReason: string | undefined;
  #isStopping = false;
  #nudge = (): void => {};

  constructor(ref: VmRef, ports: MachinePorts, child?: ChildProcess) {
    this.ref = ref;
    this.#clock = ports.clock;
    this.#log = ports.log.child({ sandbox: ref.sandboxId, vmm: ref.pid });
    this.#child = child;
    this.#childExit = child && endOf(child);
  }

  isAlive(): Promise<boolean> {
    return isAlive(this.ref);
  }

  /** The connection to the monitor. Throws `VMM_GONE` when the process has ended, `VMM_FAILED`, the signal's reason. */
  async monitor(signal: AbortSignal): Promise<QmpClient> {
    if (this.#monitor?.isOpen) return this.#monitor;
    // The attempt is shared, so no single caller's signal may end it.
    this.#connecting ??= withDeadline(this.#clock, CONNECT_MS, 'Connecting to the QEMU monitor', (own) =>
      this.#connect(own),
    ).finally(() => {
      this.#connecting = undefined;
    });
    return await unlessAborted(this.#connecting, signal);
  }

  /** Runs a command of the monitor. Throws `VMM_GONE` when the process has ended, `VMM_FAILED`, the signal's reason. */
  async execute<C extends QmpCommand>(
    command: C,
    args: QmpCommands[C]['arguments'],
    signal: AbortSignal,
  ): Promise<QmpCommands[C]['result']> {
    const monitor = await this.monitor(signal);
    try {
      return await monitor.execute(command, args, signal);
    } catch (error) {
      signal.throwIfAborted();
      if (!monitor.isOpen && (await this.#isGoneSoon())) throw await this.gone(error);
      throw error;
    }
  }

  /** Calls `exited` once when the process ends without `stop`. Returns an undo. */
  watch(exited: (exit: VmExit) => void): () => void {
    this.#watchers.add(exited);
    this.#vigil ??= this.#keepVigil();
    return () => this.#watchers.delete(exited);
  }

  /**
   * Makes sure that the process is gone: asks it to quit, waits `graceMs` milliseconds, kills it, waits until it is gone.
   * Throws the signal's reason.
   */
  async stop(graceMs: number, signal: AbortSignal): Promise<void> {
    this.#isStopping = true;
    if (graceMs > 0) {
      const quit = withDeadline(this.#clock, graceMs, 'Asking QEMU to quit', async (own) => {
        // The process may be gone before its answer is.
        await this.execute('quit', undefined, own).catch(() => {});
        await this.#waitGone(own);
      });
      await unlessAborted(quit, signal).catch(() => signal.throwIfAborted());
    }
    if (graceMs > 0 && (await this.isAlive()))
      this.#log.warn({ graceMs }, 'a machine did not quit; killing it');
    await this.kill(signal);
    for (const file of [qmpSocket, stateSocket, pidFile]) await rm(file(this.ref.runDir), { force: true });
  }

  /** Kills the process and waits until it is gone; its run folder is left as it is. Throws the signal's reason. */
  async kill(signal: AbortSignal): Promise<void> {
    this.#isStopping = true;
    await killProcess(this.ref);
    await this.#waitGone(signal);
    this.close();
  }

  /** Lets go of the monitor and ends all watching. The machine is left alone. */
  close(): void {
    this.#closing.abort();
    this.#watchers.clear();
    this.#monitor?.close();
  }

  /** The error for a machine that has ended by itself. */
  async gone(cause?: unknown): Promise<DormouseError> {
    return new DormouseError('VMM_GONE', `QEMU is gone: ${await this.#howItEnded()}`, { cause });
  }

  async #connect(signal: AbortSignal): Promise<QmpClient> {
    for (;;) {
      if (!(await this.isAlive())) throw await this.gone();
      try {
        const monitor = await QmpClient.connect(qmpSocket(this.ref.runDir), signal);
        if (this.#closing.signal.aborted) monitor.close();
        this.#monitor = monitor;
        monitor.onEvent((event) => this.#heard(event));
        void monitor.ended.then(() => this.#nudge());
        return monitor;
      } catch {
        await this.#clock.sleep(CONNECT_RETRY_MS, signal);
      }
    }
  }

  #heard({ event, data }: QmpEvent): void {
    if (event === 'SHUTDOWN') this.#shutdownReason = String(data.reason);
    // QEMU stops the vCPUs when the host's disk is full, so that the guest loses nothing.
    if (event === 'BLOCK_IO_ERROR') this.#log.error({ data }, 'the disk of a machine cannot be written');
  }

  async #keepVigil(): Promise<void> {
    const { signal } = this.#closing;
    // Only a connected monitor says why it ends.
    void this.monitor(signal).catch(() => {});
    try {
      if (this.#childExit) await unlessAborted(this.#childExit, signal);
      else
        while (await this.isAlive()) {
          await this.#pause(VIGIL_POLL_MS, signal);
          if (this.#monitor && !this.#monitor.isOpen) await this.#isGoneSoon();
        }
      const exit = await this.#exit();
      if (this.#isStopping) return;
      const watchers = [...this.#watchers];
      this.#watchers.clear();
      for (const exited of watchers) exited(exit);
    } catch (error) {
      if (!signal.aborted) this.#log.error({ err: error }, 'a machine is no longer watched');
    }
  }

  /** Waits `forMs` milliseconds, or until the monitor closes the connection. */
  async #pause(forMs: number, signal: AbortSignal): Promise<void> {
    const over = Promise.withResolvers<void>();
    const timer = this.#clock.after(forMs, over.resolve);
    this.#nudge = over.resolve;
    try {
      await unlessAborted(over.promise, signal);
    } finally {
      timer.cancel();
    }
  }

  async #waitGone(signal: AbortSignal): Promise<void> {
    if (!this.#childExit) {
      while (await this.isAlive()) await this.#clock.sleep(ENDING_POLL_MS, signal);
      return;
    }
    // The child does not keep this process from ending, except while its end is waited for.
    this.#child?.ref();
    try {
      await unlessAborted(this.#childExit, signal);
    } finally {
      this.#child?.unref();
    }
  }

  #isGoneSoon(): Promise<boolean> {
    return withDeadline(this.#clock, GONE_AFTER_MS, 'Waiting for QEMU to be gone', async (own) => {
      await this.#waitGone(own);
      return true;
    }).catch(() => false);
  }

  async #exit(): Promise<VmExit> {
    // The last event may still be on its way when the process has gone.
    if (this.#monitor) await this.#monitor.ended;
    const detail = await this.#howItEnded();
    const reason = this.#shutdownReason;
    if (reason === 'guest-shutdown') return { reason, detail };
    if (reason === 'guest-panic' || reason === 'guest-reset') return { reason: 'guest-panic', detail };
    if (reason === 'host-signal') return { reason: 'killed', detail };
    if (reason !== undefined) return { reason: 'exited', detail };
    if (this.#childExit) return { reason: (await this.#childExit).signal ? 'killed' : 'exited', detail };
    // QEMU says why it ends unless something ended it.
    return { reason: this.#monitor ? 'killed' : 'unknown', detail };
  }

  /** Only for a process that has ended. */
  async #howItEnded(): Promise<string> {
    const exit = await this.#childExit;
    const status = exit && (exit.signal ? `ended by ${exit.signal}` : `exit status ${exit.code}`);
    const parts = [this.#shutdownReason, status, await lastLogLine(this.ref.runDir)];
    return parts.filter(Boolean).join('; ') || 'nothing is known of its end';
  }
}

/** How a child process ends, or has ended: one that fails at once is over before anybody can listen. */
function endOf(child: ChildProcess): Promise<ChildExit> {
  const { exitCode, signalCode } = child;
  if (exitCode !== null || signalCode !== null)
    return Promise.resolve({ code: exitCode, signal: signalCode });
  return new Promise((resolve) => child.once('exit', (code, signal) => resolve({ code, signal })));
}
