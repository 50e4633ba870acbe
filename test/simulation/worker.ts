import { parentPort, workerData } from 'node:worker_threads';
import { explore, type Work } from './explore.ts';

/** One worker of a simulation: makes its share of the runs and sends what it found. */

/** How often the number of runs is told. */
const TELL_EVERY = 50;

// Errors are values here; where they were made is of no interest, and finding that out takes most of their time.
Error.stackTraceLimit = 0;

const { work, failuresMax } = workerData as { work: Work; failuresMax: number | undefined };
const findings = await explore(
  work,
  (schedules) => {
    if (schedules % TELL_EVERY === 0) parentPort?.postMessage({ schedules });
  },
  failuresMax,
);
parentPort?.postMessage({ findings });
