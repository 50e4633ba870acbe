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
