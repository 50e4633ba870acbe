import { globSync } from 'node:fs';
import path from 'node:path';
import t, { type Test } from 'tap';
import { type FileReport, runFiles } from './device-mapper/files.ts';
import { KernelError } from './device-mapper/kernel-error.ts';

/**
 * Runs the tests that need device-mapper, or another thing that this machine's kernel may lack, in a kernel of their own:
 * one boot for the files in `device-mapper/inside/`, one with udevd for those in `device-mapper/inside-udev/`.
 */

const FOLDER = path.join(import.meta.dirname, 'device-mapper');
/**
 * Longest time for all boots of a set of files: twenty minutes when all goes well, and three or more for each boot that got stuck.
 * `inside.ts` has a limit for each file.
 */
const ALL_MS = 45 * 60_000;
/** How long the last kernel may take to be gone after that. */
const ENDING_MS = 60_000;
/** The runner's own limit for this file, which is told to it by this call. */
t.setTimeout(ALL_MS + 10 * 60_000);

/**
 * How many boots there may be for one set of files. KVM inside QEMU's emulation is not sound (QEMU 7.2): a few times in an hour it leaves
 * a processor of the kernel stuck in a guest of its own, or ruins the kernel's memory, which then panics or says nothing any more. The files
 * that had not ended are run in a new boot.
 */
const BOOTS_MAX = 12;
const STUCK = /soft lockup|Kernel panic/;
/**
 * How often a file is run until its failure counts. The same KVM resets one in twenty guests or so, now and then, and none when processors
 * are emulated; a test that meets it fails. What is wrong with us fails each time; what fails once is written into the log.
 */
const TRIES_MAX = 3;
/** How long the files may say nothing, in milliseconds: several times the longest that they do. */
const SILENT_MS = 3 * 60_000;

for (const { folder, udev } of [
  { folder: 'inside', udev: false },
  { folder: 'inside-udev', udev: true },
]) {
  const files = globSync(path.join(FOLDER, folder, '*.test.ts'))
    .map((file) => path.relative(process.cwd(), file))
    .sort();
  if (files.length > 0) await t.test(folder, { timeout: ALL_MS + ENDING_MS }, (t) => runAll(t, files, udev));
}

async function runAll(t: Test, files: readonly string[], udev: boolean): Promise<void> {
  const failures = new Map<string, number>();
  const endsAtMs = Date.now() + ALL_MS;
  let left = [...files];
  for (let boot = 1; left.length > 0 && boot <= BOOTS_MAX && Date.now() < endsAtMs; boot += 1) {
    if (boot > 1) t.comment(`kernel: another boot, for ${left.join(', ')}`);
    const unheard = new Set(left);
    const again: string[] = [];
    const run = { udev, limitMs: endsAtMs - Date.now() };
    const stuck = await runOnce(t, unheard, run, ({ file, ok, summary, details }) => {
      // The log shows these while the rest is still running.
      t.comment(`kernel: ${file} ${ok ? 'passed' : 'failed'} (${summary})`);
      if (ok) return t.pass(file);
      // As comments, since a long text in a diagnosis is folded.
      for (const line of details) t.comment(line);
      const times = (failures.get(file) ?? 0) + 1;
      failures.set(file, times);
      if (times === TRIES_MAX) return fail(t, `${file} failed ${times} times (${summary})`);
      again.push(file);
    });
    left = [...again, ...unheard];
    if (unheard.size > 0 && !stuck) break;
  }
  for (const file of left) fail(t, `${file} did not come to a good end`);
}

/** Runs the files in one boot, and takes those off that came to an end. True when the kernel got stuck or panicked. */
async function runOnce(
  t: Test,
  unheard: Set<string>,
  run: { udev: boolean; limitMs: number },
  onFile: (report: FileReport) => void,
): Promise<boolean> {
  let failed = false;
  let last = 'nothing';
  try {
    const { bootMs, totalMs, kernelLog } = await runFiles([...unheard], {
      ...run,
      silentMs: SILENT_MS,
      onFile: (report) => {
        unheard.delete(report.file);
        failed ||= !report.ok;
        onFile(report);
      },
      onLine: (line) => {
        last = line.trim() || last;
        t.comment(line);
      },
    });
    t.comment(`${seconds(bootMs)} to boot, ${seconds(totalMs)} in all`);
    // Device-mapper tells its reasons only there.
    if (failed) t.comment(`the kernel's log:\n${kernelLog}`);
    return false;
  } catch (error) {
    t.comment(`kernel: the last that was heard: ${last}`);
    t.comment(`kernel: ${error instanceof Error ? error.message : error}`);
    return error instanceof KernelError && (error.isSilent || STUCK.test(error.kernelLog));
  }
}

/** Without the place of the assertion in this file, which says nothing of what failed inside. */
function fail(t: Test, what: string): void {
  t.fail(what, { at: null, stack: '' });
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`;
}
