import type { Clock } from '../../clock.ts';
import type { DiskDriver } from '../../drivers/disk/types.ts';
import { messageOf } from '../../errors/index.ts';
import type { Logger } from '../../log.ts';
import type { Sandbox } from '../sandbox/sandbox.ts';
import type { MeasureSpace, SpaceMarks } from './space.ts';

/** How often the free space is measured, in milliseconds: a system call each time, and a guest can write much in a second. */
const SPACE_MS = 500;
/** How often the kernel is asked which disks it gave up, in milliseconds: a process each time. */
const LOST_MS = 5_000;
/** How long a sandbox that could not be paused is left alone before it is tried again, in milliseconds. */
const PAUSE_AGAIN_MS = 10_000;

export interface DiskWatchOptions {
  disk: DiskDriver;
  sandboxes(): readonly Sandbox[];
  freeMb: MeasureSpace;
  marks: SpaceMarks;
  clock: Clock;
  log: Logger;
}

/**
 * Watches what no request would notice. Below the critical mark of free space it pauses what runs; a sandbox whose disk the
 * kernel has given up is told so, which ends it as `crashed`.
 */
export class DiskWatch {
  readonly #options: DiskWatchOptions;
  readonly #stopping = new AbortController();
  readonly #asked = new Map<string, number>();
  #loops: Promise<unknown> = Promise.resolve();
  #isLow = false;

  constructor(options: DiskWatchOptions) {
    this.#options = options;
  }

  start(): void {
    this.#loops = Promise.all([
      this.#repeat(this.#options.marks.everyMs ?? SPACE_MS, () => this.lookAtSpace()),
      this.#repeat(LOST_MS, () => this.lookForLost()),
    ]);
  }

  async stop(): Promise<void> {
    this.#stopping.abort(new Error('the host stops'));
    await this.#loops;
  }

  /** Measures once, and pauses what runs when there is too little. Resolves when the sandboxes have been told. */
  async lookAtSpace(): Promise<void> {
    const { freeMb, marks, log, clock, sandboxes } = this.#options;
    const free = await freeMb();
    const isLow = free < marks.criticalMb;
    if (isLow !== this.#isLow) {
      this.#isLow = isLow;
      const line = { free_mb: free, critical_mb: marks.criticalMb };
      if (isLow) log.error(line, 'the store is nearly full: what runs is paused');
      else log.info(line, 'the store has room again');
    }
    if (!isLow) {
      this.#asked.clear();
      return;
    }
    const now = clock.monotonicMs();
    const due = sandboxes().filter(
      ({ id, actor }) =>
        actor.state === 'running' &&
        now - (this.#asked.get(id) ?? Number.NEGATIVE_INFINITY) >= PAUSE_AGAIN_MS,
    );
    for (const { id } of due) this.#asked.set(id, now);
    await Promise.all(due.map(({ actor }) => actor.tell({ type: 'spaceLow' })));
  }

  /** Asks the kernel once, and tells the sandboxes whose disks are lost. */
  async lookForLost(): Promise<void> {
    const lost = await this.#options.disk.lost();
    for (const { id, actor } of this.#options.sandboxes()) {
      const error = lost.get(id);
      if (error && actor.state === 'running') await actor.tell({ type: 'diskLost', error: error.toRecord() });
    }
  }

  async #repeat(everyMs: number, look: () => Promise<void>): Promise<void> {
    const { clock, log } = this.#options;
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      await look().catch((error: unknown) =>
        log.warn({ err: messageOf(error) }, 'the disks could not be looked at'),
      );
      await clock.sleep(everyMs, signal).catch(() => {});
    }
  }
}
