import type { Clock } from '../../clock.ts';
import { DormouseError } from '../../errors/index.ts';

/**
 * Marks of the free space on the store, in MiB. A file system that is full is worse than a host that refuses: a guest that writes
 * gets an error, and a device-mapper disk whose copy-on-write file cannot grow is lost for ever.
 */
export interface SpaceMarks {
  /** Below it nothing is created or resumed. */
  lowMb: number;
  /** Below it what runs is paused, before the file system is full. */
  criticalMb: number;
  /** How often the space is measured, in milliseconds; the host's own choice when absent. */
  everyMs?: number;
}

/** Measures the free space, in MiB. */
export type MeasureSpace = () => Promise<number>;

/** @throws `DISK_FULL` when there is less free than the low mark */
export async function checkSpace(freeMb: MeasureSpace, { lowMb }: SpaceMarks): Promise<void> {
  const free = await freeMb();
  if (free < lowMb)
    throw new DormouseError(
      'DISK_FULL',
      `The host's store has ${free} MiB free; below ${lowMb} MiB no sandbox is made or resumed.`,
      { data: { free_mb: free, low_mb: lowMb } },
    );
}

/** How often the space is measured while something large is written, in milliseconds: a disk takes a hundred MiB meanwhile. */
const WRITING_MS = 100;

/**
 * Does work that may write more than there is room for: it is ended when less than the low mark is left, before anything that runs
 * has to be paused for it.
 *
 * @param work ends with the reason of its signal when that aborts, and leaves nothing then
 * @throws `DISK_FULL`; what `work` throws
 */
export async function whileRoom<T>(
  freeMb: MeasureSpace,
  { lowMb }: SpaceMarks,
  { clock, signal }: { clock: Clock; signal: AbortSignal },
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const full = new AbortController();
  const done = new AbortController();
  const watch = async (): Promise<void> => {
    while (!done.signal.aborted) {
      const free = await freeMb();
      if (free < lowMb)
        return full.abort(
          new DormouseError(
            'DISK_FULL',
            `It was given up, since the host's store has ${free} MiB left; ${lowMb} MiB are kept for the sandboxes.`,
            { data: { free_mb: free, low_mb: lowMb } },
          ),
        );
      await clock.sleep(WRITING_MS, done.signal).catch(() => {});
    }
  };
  const watching = watch().catch((error: unknown) => full.abort(error));
  try {
    return await work(AbortSignal.any([signal, full.signal]));
  } finally {
    done.abort();
    await watching;
  }
}
