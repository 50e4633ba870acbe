import { AsyncLocalStorage } from 'node:async_hooks';

/**
 * A process of the simulated machines: the agent of the host, the control plane, a client. Code knows which one it is part
 * of, and which step of an actor it carries out, by the asynchronous context that it was started in. One that has died
 * never goes on: whatever its code waits for never comes.
 */
export class Process {
  readonly name: string;
  isDead = false;
  readonly #atDeath: Array<() => void> = [];

  constructor(name: string) {
    this.name = name;
  }

  /** Calls `released` when the process dies, however it does: what the kernel takes back from it. */
  atDeath(released: () => void): void {
    this.#atDeath.push(released);
  }

  die(): void {
    if (this.isDead) return;
    this.isDead = true;
    for (const released of this.#atDeath.splice(0)) released();
  }

  /** Runs `code` as part of this process. */
  run<T>(code: () => T): T {
    return context.run({ process: this, step: undefined }, code);
  }
}

/** Name of the process of scheduler and projector. */
export const CONTROL = 'control';

interface Here {
  process: Process;
  /** Step of an actor that is being carried out. */
  step: string | undefined;
}

const context = new AsyncLocalStorage<Here>();

/** Where the code that calls this is running. */
export function here(): Here {
  const found = context.getStore();
  if (!found) throw new Error('code of the simulation runs outside any process');
  return found;
}

/** Runs `code` as part of a step of the process that it is in. */
export function inStep<T>(step: string, code: () => T): T {
  return context.run({ process: here().process, step }, code);
}

/** `code`, bound to the process that this is called in. */
export function boundHere<A extends unknown[]>(code: (...args: A) => void): (...args: A) => void {
  const at = here();
  return (...args) => {
    if (!at.process.isDead) context.run(at, () => code(...args));
  };
}

/** What somebody waits for who has died. A new one each time: one for all would keep all of them. */
export function never<T>(): Promise<T> {
  return new Promise<T>(() => {});
}
