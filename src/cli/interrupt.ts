import os from 'node:os';
import type { Clock } from '../clock.ts';
import { onReaderGone, say } from './output.ts';

/**
 * One Ctrl-C arrives several times: from the terminal, from npm and from the launcher. Those within this time, in
 * milliseconds, are one.
 */
const ONE_PRESS_MS = 500;

export interface Interruption {
  /** Aborts at the first SIGINT, SIGTERM or SIGHUP, and when nobody reads the output any more. */
  signal: AbortSignal;
  /** Status of a process that was asked to stop by this signal, 0 when none came. */
  status(): number;
  /** Gives the signals back to the system. */
  end(): void;
}

/** Lets work end in order when the process is asked to stop. Whoever asks a second time does not want to wait. */
export function interruptible(clock: Clock): Interruption {
  const controller = new AbortController();
  let first: { name: NodeJS.Signals; atMs: number } | undefined;
  const names = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
  const onSignal = (name: NodeJS.Signals): void => {
    const nowMs = clock.monotonicMs();
    if (first === undefined) {
      first = { name, atMs: nowMs };
      controller.abort();
    } else if (nowMs - first.atMs > ONE_PRESS_MS) {
      say(`${name} again: stopped at once; what was under way may be left behind.`);
      process.exit(statusOf(name));
    }
  };
  for (const name of names) process.on(name, onSignal);
  const readerStays = onReaderGone(() => {
    // No impatience: each line that is written to a closed pipe says so again.
    first ??= { name: 'SIGPIPE', atMs: clock.monotonicMs() };
    controller.abort();
  });
  return {
    signal: controller.signal,
    status: () => (first === undefined ? 0 : statusOf(first.name)),
    end: () => {
      for (const name of names) process.off(name, onSignal);
      readerStays();
    },
  };
}

/** The status by which a shell reports a program that a signal ended. */
export function statusOf(signal: string): number {
  return 128 + (os.constants.signals[signal as NodeJS.Signals] ?? 0);
}
