import type { Clock } from '../clock.ts';
import type { Config } from '../config/config.ts';
import type { Logger } from '../log.ts';
import type { Paths } from '../paths.ts';

/** What the command line gives a role. */
export interface RoleContext {
  config: Config;
  /** Aborts when the process is asked to stop. */
  signal: AbortSignal;
  /** Writes a line for the person at the terminal. */
  print(line: string): void;
  options: Record<string, unknown>;
}

/** What every part of a role is made with. */
export interface RolePorts {
  config: Config;
  paths: Paths;
  clock: Clock;
  log: Logger;
  version: string;
}

/** A part of a role that runs, and its end. `close` may be called once. */
export interface Part {
  close(): Promise<void>;
}

/**
 * Parts in the order in which they were started, to be closed in reverse. What fails to close does not keep the others
 * from closing; the first error is thrown at the end.
 */
export class Parts implements Part {
  readonly #closers: Array<(isClean: boolean) => Promise<void>> = [];

  /** Registers how something that runs now is ended, and returns it. */
  add<T>(part: T, close: (part: T) => Promise<void>): T {
    this.#closers.push(() => close(part));
    return part;
  }

  /**
   * As `add`, for what others may only have when all that was started after it has ended. When something has not, it stays ours
   * until the process ends.
   */
  addGuard<T>(part: T, close: (part: T) => Promise<void>): T {
    this.#closers.push(async (isClean) => {
      if (isClean) await close(part);
    });
    return part;
  }

  async close(): Promise<void> {
    let failed: unknown;
    for (const close of this.#closers.splice(0).reverse()) {
      await close(failed === undefined).catch((error: unknown) => {
        failed ??= error;
      });
    }
    if (failed) throw failed;
  }
}

/** Resolves when `signal` aborts. */
export function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
}
