import type { ChildProcess } from 'node:child_process';
import diagnostics from 'node:diagnostics_channel';
import fs from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';

/** What an operation does: the processes that it starts, and how often it looks into sysfs. */
export interface Work {
  /** Commands in the order in which they were started. */
  processes: string[];
  sysfsReads: number;
  /** Milliseconds for all of it; in which at least one process ran; for looking into sysfs. */
  ms: number;
  processMs: number;
  sysfsMs: number;
}

/** Node publishes each process here as it is started. */
const CHANNEL = 'child_process';
const SYSFS = '/sys/';

/** Runs `operation`, one at a time, and counts what it does. */
export async function watchWork(operation: () => Promise<void>): Promise<Work> {
  const started: ChildProcess[] = [];
  let running = 0;
  let processMs = 0;
  let since = 0;
  const onProcess = (message: unknown): void => {
    const { process: child } = message as { process: ChildProcess };
    started.push(child);
    if (running === 0) since = performance.now();
    running += 1;
    child.once('close', () => {
      running -= 1;
      if (running === 0) processMs += performance.now() - since;
    });
  };
  let [sysfsReads, sysfsMs] = [0, 0];
  const counted =
    <Args extends [fs.PathLike | number, ...unknown[]], Value>(read: (...args: Args) => Value) =>
    (...args: Args): Value => {
      const startedMs = performance.now();
      try {
        return read(...args);
      } finally {
        if (String(args[0]).startsWith(SYSFS)) {
          sysfsReads += 1;
          sysfsMs += performance.now() - startedMs;
        }
      }
    };
  const { readFileSync, readdirSync } = fs;
  // What imports these by name gets them as well.
  Object.assign(fs, { readFileSync: counted(readFileSync), readdirSync: counted(readdirSync) });
  syncBuiltinESMExports();
  diagnostics.subscribe(CHANNEL, onProcess);
  const startedMs = performance.now();
  try {
    await operation();
    const ms = performance.now() - startedMs;
    const processes = started.map(({ spawnargs }) => spawnargs.slice(0, 2).join(' '));
    return { processes, sysfsReads, ms, processMs, sysfsMs };
  } finally {
    diagnostics.unsubscribe(CHANNEL, onProcess);
    Object.assign(fs, { readFileSync, readdirSync });
    syncBuiltinESMExports();
  }
}
