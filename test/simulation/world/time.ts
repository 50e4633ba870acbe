import type { Clock, Timer } from '../../../src/clock.ts';
import { boundHere, here, type Process } from './process.ts';

interface Armed {
  atMs: number;
  /** Of two timers for the same time, the one armed first fires first. */
  order: number;
  process: Process;
  fire(): void;
}

/** Time stands still while anything can run, and then jumps to the next timer. */
export class Time {
  #monotonicMs = 0;
  #wallMs = Date.parse('2026-01-01T00:00:00Z');
  #order = 0;
  readonly #armed = new Set<Armed>();

  get monotonicMs(): number {
    return this.#monotonicMs;
  }

  /** The clock as the process sees it that asks; its timers go with it. */
  readonly clock: Clock = {
    nowMs: () => this.#wallMs,
    monotonicMs: () => this.#monotonicMs,
    after: (delayMs, fire) => this.#after(delayMs, fire),
    sleep: (delayMs, signal) => this.#sleep(delayMs, signal),
  };

  /** When the next timer of a process that lives fires; undefined when there is none. */
  nextAtMs(): number | undefined {
    return this.#next()?.atMs;
  }

  /** Moves to the next timer and fires it. */
  advance(): void {
    const next = this.#next();
    if (!next) return;
    this.#armed.delete(next);
    const passed = Math.max(0, next.atMs - this.#monotonicMs);
    this.#monotonicMs += passed;
    this.#wallMs += passed;
    next.fire();
  }

  /** The wall clock jumps, as when somebody sets it. Time that only goes on does not notice. */
  jump(byMs: number): void {
    this.#wallMs += byMs;
  }

  #next(): Armed | undefined {
    let next: Armed | undefined;
    for (const armed of this.#armed) {
      if (armed.process.isDead) this.#armed.delete(armed);
      else if (!next || armed.atMs < next.atMs || (armed.atMs === next.atMs && armed.order < next.order))
        next = armed;
    }
    return next;
  }

  #after(delayMs: number, fire: () => void): Timer {
    const armed: Armed = {
      atMs: this.#monotonicMs + Math.max(0, delayMs),
      order: this.#order++,
      process: here().process,
      fire: boundHere(fire),
    };
    this.#armed.add(armed);
    return { cancel: () => void this.#armed.delete(armed) };
  }

  #sleep(delayMs: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason);
      const leave = (): void => {
        timer.cancel();
        reject(signal?.reason);
      };
      const timer = this.#after(delayMs, () => {
        signal?.removeEventListener('abort', leave);
        resolve();
      });
      signal?.addEventListener('abort', leave, { once: true });
    });
  }
}
