import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { DormouseError, type ErrorRecord } from '../../src/errors/index.ts';
import type { FaultAction } from '../../src/fault-injection.ts';

/** A request to the host's process. */
export interface Asked {
  n: number;
  op:
    | 'create'
    | 'command'
    | 'exec'
    | 'snapshot'
    | 'fork'
    | 'deleteTemplate'
    | 'buildTemplate'
    | 'view'
    | 'warm'
    | 'leaks'
    | 'loops'
    | 'info'
    | 'fault'
    | 'passed'
    | 'stop';
  body: Record<string, unknown>;
}

/** What is to happen when a point is passed for the `nth` time (1 when absent), once or from then on. */
export interface Fault {
  point: string;
  nth?: number;
  always?: boolean;
  action: FaultAction | 'cancel';
}

/** A sandbox as its host shows it, with what its ledger names. */
export interface HostView {
  id: string;
  state: string;
  step: string | null;
  execution: number;
  /** The commands that it takes now. */
  allowed: string[];
  last_error: { code: string; detail: string } | null;
  ledger: string[];
}

/** How long it may take until the host has come to a fault, in milliseconds. */
const HANGS_LIMIT_MS = 60_000;
const AGENT = process.env.DORMOUSE_TEST_AGENT ?? path.join(import.meta.dirname, 'host-agent.ts');

/** A host process that runs, and the test's way to it. */
export class HostProcess {
  readonly #child: ChildProcess;
  readonly #waiting = new Map<number, { resolve(value: unknown): void; reject(error: Error): void }>();
  readonly #exited: Promise<unknown>;
  #number = 0;

  private constructor(child: ChildProcess) {
    this.#child = child;
    this.#exited = once(child, 'exit').then(() => {
      for (const { reject } of this.#waiting.values()) reject(new Error('the host died'));
      this.#waiting.clear();
    });
    child.on('message', (message: { n?: number; value?: unknown; error?: ErrorRecord }) => {
      const waiter = this.#waiting.get(message.n ?? -1);
      this.#waiting.delete(message.n ?? -1);
      if (message.error) waiter?.reject(DormouseError.fromRecord(message.error));
      else waiter?.resolve(message.value);
    });
  }

  /** Starts a host on the data directory and waits until it has adopted what is there. */
  static async start(dataDir: string, settings: Record<string, string> = {}): Promise<HostProcess> {
    return await HostProcess.standby(dataDir, settings).start();
  }

  /** A process that has loaded everything and touches nothing yet: the host begins with `start`. */
  static standby(
    dataDir: string,
    settings: Record<string, string> = {},
  ): { start(): Promise<HostProcess>; end(): Promise<void> } {
    // The test runner's loaders are for the tests, not for what these start.
    const { NODE_OPTIONS: _, ...environment } = process.env;
    const child = fork(AGENT, [], {
      env: { ...environment, DORMOUSE_DATA_DIR: dataDir, DORMOUSE_TEST_STANDBY: '1', ...settings },
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    });
    const exited = once(child, 'exit');
    return {
      start: () => HostProcess.#begin(child, dataDir),
      async end() {
        child.kill('SIGKILL');
        await exited;
      },
    };
  }

  static async #begin(child: ChildProcess, dataDir: string): Promise<HostProcess> {
    const host = new HostProcess(child);
    child.send({});
    const ready = new Promise<void>((resolve) =>
      child.on('message', (message: { ready?: boolean }) => message.ready && resolve()),
    );
    await Promise.race([
      ready,
      host.#exited.then(async () => {
        const log = await readFile(path.join(dataDir, 'dormouse.log'), 'utf8').catch(() => '');
        throw new Error(`the host did not start:\n${log.split('\n').slice(-20).join('\n')}`);
      }),
    ]);
    return host;
  }

  /** Asks, and gives the answer. Rejects with the host's error, or when the host dies first. */
  async ask<T = unknown>(op: Asked['op'], body: Record<string, unknown> = {}): Promise<T> {
    if (this.isDead) throw new Error('the host died');
    this.#number += 1;
    const n = this.#number;
    const answer = new Promise<unknown>((resolve, reject) => this.#waiting.set(n, { resolve, reject }));
    this.#child.send({ n, op, body } satisfies Asked);
    return (await answer) as T;
  }

  get isDead(): boolean {
    return this.#child.exitCode !== null || this.#child.signalCode !== null;
  }

  view(id: string): Promise<HostView | null> {
    return this.ask('view', { id });
  }

  command(id: string, name: string, body: unknown = {}): Promise<HostView> {
    return this.ask('command', { id, name, body });
  }

  /** Looks at the sandbox until it is as wanted; throws, saying what it was, after the limit in milliseconds. */
  async until(
    id: string,
    wanted: (view: HostView | null) => boolean,
    limitMs = 120_000,
  ): Promise<HostView | null> {
    for (const end = Date.now() + limitMs; ; await sleep(50)) {
      const view = await this.view(id);
      if (wanted(view)) return view;
      if (Date.now() > end) throw new Error(`the sandbox stays ${JSON.stringify(view)}`);
    }
  }

  /** SIGKILL, as a crash: virtual machines run on. */
  async kill(): Promise<void> {
    this.#child.kill('SIGKILL');
    await this.#exited;
  }

  /** Resolves when it has died by itself. */
  async died(): Promise<void> {
    await this.#exited;
  }

  /** Whether it dies by itself within the time. */
  async diesWithin(ms: number): Promise<boolean> {
    return await Promise.race([this.#exited.then(() => true), sleep(ms, false)]);
  }

  /** Resolves when it stands still, as a fault makes it; what it was told to do is half done then. */
  async hangs(): Promise<void> {
    for (const end = Date.now() + HANGS_LIMIT_MS; ; await sleep(5)) {
      const stat = await readFile(`/proc/${this.#child.pid}/stat`, 'utf8');
      if (stat.slice(stat.lastIndexOf(')') + 2).startsWith('T')) return;
      if (Date.now() > end) throw new Error('the host does not hang');
    }
  }

  /** Lets one that stands still go on. */
  goOn(): void {
    this.#child.kill('SIGCONT');
  }

  /** Lets go of everything and ends. */
  async stop(): Promise<void> {
    if (!this.isDead) {
      await this.ask('stop');
      this.#child.kill('SIGTERM');
    }
    await this.#exited;
  }
}

/** A state in which a sandbox stays until somebody wants something. */
export const atRest = (view: HostView | null): boolean =>
  view === null || (view.step === null && /^(running|paused)$/.test(view.state)) || view.state === 'crashed';
