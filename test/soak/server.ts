import { readdirSync, readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  type Answer,
  http,
  newDataDir,
  type Running,
  removeDataDir,
  startDormouse,
} from '../support/dormouse.ts';

/** Longest that a request may take before the caller gives up, in milliseconds: more than any command's own limit. */
const REQUEST_LIMIT_MS = 180_000;
const SETTINGS = { DORMOUSE_JANITOR_S: '3', DORMOUSE_SPARE_SLOTS: '2' };

/** A Dormouse of the soak's own, which is killed and started again, and what belongs to it on the machine. */
export class Server {
  readonly dataDir: string;
  #running: Running | undefined;
  #starting: Promise<void> | undefined;

  private constructor(dataDir: string) {
    this.dataDir = dataDir;
  }

  static async start(): Promise<Server> {
    const server = new Server(await newDataDir());
    try {
      await server.restart();
    } catch (error) {
      await removeDataDir(server.dataDir);
      throw error;
    }
    return server;
  }

  /** Starts it, after it was killed. Throws what it printed when it does not come up. */
  async restart(): Promise<void> {
    this.#starting = startDormouse(this.dataDir, SETTINGS).then((running) => {
      this.#running = running;
    });
    await this.#starting.finally(() => {
      this.#starting = undefined;
    });
  }

  /** SIGKILL, as a crash. */
  async kill(): Promise<void> {
    const running = this.#running;
    this.#running = undefined;
    await running?.kill();
  }

  /** Stops it in order and removes its data directory. */
  async stop(): Promise<void> {
    await this.#running?.stop();
    this.#running = undefined;
  }

  /** Ends whatever of it still runs. */
  async end(): Promise<void> {
    await this.#running?.stop();
    this.#running = undefined;
    for (const { pid } of this.processes()) signal(pid, 'SIGKILL');
  }

  remove(): Promise<void> {
    return removeDataDir(this.dataDir);
  }

  /** Sends a request. `undefined` when no answer came: nobody knows whether it was carried out. */
  async ask<T = Record<string, unknown>>(
    method: string,
    where: string,
    body?: unknown,
    headers: Record<string, string> = {},
  ): Promise<Answer<T> | undefined> {
    const running = this.#running;
    if (!running) {
      await sleep(100);
      return undefined;
    }
    const limit = sleep(REQUEST_LIMIT_MS, undefined, { ref: false });
    return await Promise.race([http<T>(running, method, where, body, headers).catch(() => undefined), limit]);
  }

  /** Pid of the server itself. */
  async pid(): Promise<number> {
    const info = JSON.parse(await readFile(path.join(this.dataDir, 'server.json'), 'utf8')) as {
      pid: number;
    };
    return info.pid;
  }

  /** Pids of the virtual machines, by sandbox. */
  machines(): Map<string, number[]> {
    const found = new Map<string, number[]>();
    for (const { pid, args } of this.processes()) {
      const id = /store\/sandboxes\/(sb-[a-z2-7]{20})\/run\/qmp\.sock/.exec(args)?.[1];
      if (id) found.set(id, [...(found.get(id) ?? []), pid]);
    }
    return found;
  }

  /** Everything that names the data directory in its arguments. */
  processes(): Array<{ pid: number; args: string }> {
    return pids()
      .map((pid) => ({ pid, args: textOf(`/proc/${pid}/cmdline`).replaceAll('\0', ' ') }))
      .filter(({ args }) => args.includes(`${this.dataDir}/`));
  }

  /** The server's own processes, those that they started, and everything that names the data directory. */
  async all(): Promise<Set<number>> {
    const all = new Set([await this.pid(), ...this.processes().map(({ pid }) => pid)]);
    const parents = pids().map((pid) => [pid, parentOf(pid)] as const);
    for (let size = 0; size !== all.size; ) {
      size = all.size;
      for (const [pid, parent] of parents) if (all.has(parent)) all.add(pid);
    }
    return all;
  }

  nats(): number | undefined {
    return this.processes().find(
      ({ args }) => args.startsWith('nats-server') || args.includes('/nats-server '),
    )?.pid;
  }

  postgres(): number | undefined {
    const [pid] = textOf(path.join(this.dataDir, 'postgres', 'data', 'postmaster.pid')).split('\n');
    return Number(pid) || undefined;
  }

  folder(...names: string[]): string {
    return path.join(this.dataDir, 'store', 'sandboxes', ...names);
  }
}

/** Sends a signal, unless the process has ended by itself. */
export function signal(pid: number | undefined, name: NodeJS.Signals): void {
  try {
    if (pid !== undefined) process.kill(pid, name);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

function pids(): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number);
}

/** The second field after the name, which may hold spaces and parentheses (proc(5)). */
function parentOf(pid: number): number {
  return Number(textOf(`/proc/${pid}/stat`).split(') ').at(-1)?.split(' ')[1]);
}

/** Content of a file; empty when it went away. */
function textOf(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}
