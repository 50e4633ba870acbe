import { createHash } from 'node:crypto';
import { mkdir, rename, writeFile } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import path from 'node:path';
import { Worker } from 'node:worker_threads';
import { bundleSimulation, type Change } from './bundle.ts';
import type { Failure, Findings, Work } from './explore.ts';
import type { Told } from './replay.ts';
import type { Tape } from './shrink.ts';
import { together } from './together.ts';

/** Shares the runs among the processors. */

/** Most of what a run makes is of no use after it: more room for what is young saves looking at it. */
const LIMITS = { maxYoungGenerationSizeMb: 128 };
/**
 * Each worker makes so many shares, one after another, in a thread of its own. Node.js keeps a signal of `AbortSignal.any` for ever while
 * somebody listens to it, and a process of the simulation that is killed goes on listening: what runs leave goes with the thread.
 */
const SHARES = 4;
/** Bundles, named after what is in them. */
const CACHE = path.join(import.meta.dirname, '..', '..', '.cache', 'simulation');

export interface ExploreOptions {
  /** A change of the product, to see whether it is noticed. */
  change?: Change;
  /** Ends each share after so many failures. */
  failuresMax?: number;
  workers?: number;
  /** Told the number of runs so far. */
  progress?(schedules: number): void;
}

type Shared = Work extends infer W ? (W extends Work ? Omit<W, 'part' | 'of'> : never) : never;

/** Makes the runs, and gives what all workers found together. Throws when a worker fails. */
export async function exploreInParallel(work: Shared, options: ExploreOptions = {}): Promise<Findings> {
  const { workers = availableParallelism(), progress = () => {} } = options;
  const program = await storeBundle(await bundleSimulation('worker.ts', options.change));
  const of = workers * SHARES;
  const counts = Array<number>(of).fill(0);
  const findings: Findings[] = [];
  const shares = counts.keys();
  const takeTurns = async (): Promise<void> => {
    for (const part of shares) {
      const worker = startWorker(program, { ...work, part, of } as Work, options.failuresMax, (schedules) => {
        counts[part] = schedules;
        progress(counts.reduce((sum, count) => sum + count, 0));
      });
      findings.push(await worker.findings);
    }
  };
  await Promise.all(Array.from({ length: workers }, takeTurns));
  return findings.reduce(together);
}

/** Whether any of the runs fails when the product is changed: the first failure, and how many runs were made until then. */
export async function firstFailure(
  work: Shared,
  change: Change,
): Promise<{ failure: Failure | undefined; schedules: number }> {
  const program = await storeBundle(await bundleSimulation('worker.ts', change));
  const workers = availableParallelism();
  const counts = Array<number>(workers).fill(0);
  const parts = counts.map((_, part) =>
    startWorker(program, { ...work, part, of: workers } as Work, 1, (schedules) => {
      counts[part] = schedules;
    }),
  );
  try {
    const failed = await new Promise<Findings | undefined>((resolve, reject) => {
      let left = parts.length;
      for (const [at, part] of parts.entries())
        part.findings.then((found) => {
          counts[at] = found.schedules;
          left -= 1;
          if (found.failures.length > 0) resolve(found);
          else if (left === 0) resolve(undefined);
        }, reject);
    });
    return { failure: failed?.failures[0], schedules: counts.reduce((sum, count) => sum + count, 0) };
  } finally {
    await Promise.all(parts.map((part) => part.end()));
  }
}

function startWorker(
  program: string,
  work: Work,
  failuresMax: number | undefined,
  progress: (schedules: number) => void,
): { findings: Promise<Findings>; end(): Promise<unknown> } {
  const worker = new Worker(program, {
    workerData: { work, failuresMax },
    execArgv: [],
    resourceLimits: LIMITS,
  });
  const findings = new Promise<Findings>((resolve, reject) => {
    worker.on('message', (message: { schedules?: number; findings?: Findings }) => {
      if (message.schedules !== undefined) progress(message.schedules);
      if (message.findings) resolve(message.findings);
    });
    worker.on('error', reject);
    worker.on('exit', (code) => reject(new Error(`a worker of the simulation ended with ${code}`)));
  });
  findings.catch(() => {});
  return { findings, end: () => worker.terminate() };
}

/** Tells one run line by line, after it was made as simple as it can be if it is a failure. */
export async function replay(what: { failure: Failure } | { tape: Tape }, change?: Change): Promise<Told> {
  const program = await storeBundle(await bundleSimulation('replay.ts', change));
  return await new Promise((resolve, reject) => {
    const worker = new Worker(program, { workerData: what, execArgv: [], resourceLimits: LIMITS });
    worker.on('message', resolve);
    worker.on('error', reject);
    worker.on('exit', (code) => reject(new Error(`the replay ended with ${code}`)));
  });
}

/** Packages are found from where the program is, so it is kept in the checkout. */
async function storeBundle(text: string): Promise<string> {
  const file = path.join(CACHE, `${createHash('sha256').update(text).digest('hex').slice(0, 16)}.mjs`);
  await mkdir(CACHE, { recursive: true });
  const temporary = `${file}.${process.pid}.tmp`;
  await writeFile(temporary, text);
  await rename(temporary, file);
  return file;
}
