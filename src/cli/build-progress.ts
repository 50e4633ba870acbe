import type { BuildProgress } from '../actors/host/template-protocol.ts';
import type { Clock } from '../clock.ts';
import { formatBytes } from './format.ts';
import { say, sayOver } from './output.ts';
import { printable } from './table.ts';

/** What is not a terminal gets a line of a stage that goes on this often, in milliseconds. */
const LINE_EVERY_MS = 5_000;
const BAR_WIDTH = 24;

/** Shows how far a build is, on standard error. */
export interface BuildDisplay {
  show(progress: BuildProgress): void;
  /** Ends the line that is being drawn. */
  end(): void;
}

/** On a terminal a line that is drawn anew; elsewhere lines: one for each stage, and one now and then. */
export function buildDisplay(clock: Clock, isTerminal = process.stderr.isTTY === true): BuildDisplay {
  let stage: string | undefined;
  let saidAtMs = Number.NEGATIVE_INFINITY;
  let isDrawn = false;
  const end = (): void => {
    if (isDrawn) say('');
    isDrawn = false;
  };
  return {
    show(progress) {
      const isNew = progress.stage !== stage;
      stage = progress.stage;
      if (progress.message !== undefined) {
        end();
        say(`  ${printable(progress.message)}`);
      }
      if (isTerminal) {
        if (isNew) end();
        sayOver(describeProgress(progress));
        isDrawn = true;
        return;
      }
      const now = clock.monotonicMs();
      if (!isNew && now - saidAtMs < LINE_EVERY_MS) return;
      saidAtMs = now;
      say(describeProgress(progress));
    },
    end,
  };
}

/** A stage as one line: `uploading  [######------------------]  12 MiB of 48 MiB`. */
export function describeProgress({ stage, done_bytes, total_bytes }: BuildProgress): string {
  const name = printable(stage);
  if (done_bytes === null) return `${name} …`;
  if (total_bytes === null || total_bytes === 0) return `${name}  ${formatBytes(done_bytes)}`;
  const share = Math.min(1, done_bytes / total_bytes);
  const bar = '#'.repeat(Math.round(share * BAR_WIDTH)).padEnd(BAR_WIDTH, '-');
  return `${name}  [${bar}]  ${formatBytes(done_bytes)} of ${formatBytes(total_bytes)}`;
}
