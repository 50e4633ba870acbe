import { setTimeout as sleep } from 'node:timers/promises';
import type { Load } from './load.ts';
import type { Random } from './random.ts';
import { type Server, signal } from './server.ts';

/** What is done to a Dormouse while it works: from outside, and without a warning. */

const FAULTS = {
  killServer: 2,
  freezeServer: 1,
  killMachine: 3,
  freezeMachine: 3,
  killNats: 2,
  freezeNats: 1,
  restartPostgres: 1,
} as const;
export type Fault = keyof typeof FAULTS;

/** Time between two faults, and for which something is stopped, in milliseconds. */
const BETWEEN_MS = [3_000, 10_000] as const;
const FREEZE_MS = [300, 3_000] as const;

export class Faults {
  readonly #server: Server;
  readonly #load: Load;
  readonly #random: Random;
  readonly counts = new Map<string, number>();
  #stopping = new AbortController();
  #loop: Promise<void> = Promise.resolve();

  constructor(server: Server, load: Load, random: Random) {
    this.#server = server;
    this.#load = load;
    this.#random = random;
  }

  start(): void {
    this.#stopping = new AbortController();
    this.#loop = this.#run(this.#stopping.signal);
    // `stop` tells of it.
    this.#loop.catch(() => {});
  }

  /** Begins no further ones. Resolves when the server is up and nothing is stopped any more; throws when it did not come up. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#loop;
  }

  async #run(stopping: AbortSignal): Promise<void> {
    for (;;) {
      await sleep(this.#random.between(...BETWEEN_MS), undefined, { signal: stopping }).catch(() => {});
      if (stopping.aborted) return;
      const fault = this.#random.weighted<Fault>(FAULTS);
      this.counts.set(fault, (this.counts.get(fault) ?? 0) + 1);
      await this.#inject(fault);
    }
  }

  async #inject(fault: Fault): Promise<void> {
    const server = this.#server;
    switch (fault) {
      case 'killServer':
        await server.kill();
        await sleep(this.#random.between(0, 2_000));
        return await server.restart();
      case 'freezeServer':
        return await this.#freeze(await server.pid());
      case 'killMachine': {
        const chosen = this.#machine();
        if (!chosen) return;
        this.#load.killed(chosen.id);
        return signal(chosen.pid, 'SIGKILL');
      }
      case 'freezeMachine':
        return await this.#freeze(this.#machine()?.pid);
      case 'killNats':
        return signal(server.nats(), 'SIGKILL');
      case 'freezeNats':
        return await this.#freeze(server.nats());
      case 'restartPostgres':
        // A quick shutdown, which takes no notice of those who are connected; it is started again.
        return signal(server.postgres(), 'SIGINT');
    }
  }

  #machine(): { id: string; pid: number } | undefined {
    const all = [...this.#server.machines()].flatMap(([id, pids]) => pids.map((pid) => ({ id, pid })));
    return this.#random.one(all);
  }

  async #freeze(pid: number | undefined): Promise<void> {
    signal(pid, 'SIGSTOP');
    await sleep(this.#random.between(...FREEZE_MS));
    signal(pid, 'SIGCONT');
  }
}
