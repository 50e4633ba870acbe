import type { Clock, Timer } from '../../clock.ts';

/** An actor's timers: armed for absolute times, so that one goes on after a restart where it was. */
export class Timers {
  readonly #clock: Clock;
  readonly #armed = new Map<string, Timer>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Calls `fire` at `atMs`, at once when that has passed. An earlier arming of the same timer is taken back. */
  arm(name: string, atMs: number, fire: () => void): void {
    this.disarm(name);
    const timer = this.#clock.after(Math.max(0, atMs - this.#clock.nowMs()), () => {
      this.#armed.delete(name);
      fire();
    });
    this.#armed.set(name, timer);
  }

  disarm(name: string): void {
    this.#armed.get(name)?.cancel();
    this.#armed.delete(name);
  }

  disarmAll(): void {
    for (const name of [...this.#armed.keys()]) this.disarm(name);
  }
}
