import { globSync } from 'node:fs';
import path from 'node:path';
import t, { type Test } from 'tap';
import { runFiles } from './device-mapper/files.ts';
import { KernelError } from './device-mapper/kernel-error.ts';

/**
 * Runs the tests that need device-mapper, or another thing that this machine's kernel may lack, in a kernel of their own:
 * one boot for the files in `device-mapper/inside/`, one with udevd for those in `device-mapper/inside-udev/`.
 */

const FOLDER = path.join(import.meta.dirname, 'device-mapper');
/** Longest time for one boot, on a machine that is busy with other things: `inside.ts` has a limit for each file. */
const LIMIT_MS = 40 * 60_000;
/** For all boots of a set of files. */
const ALL_MS = 65 * 60_000;
/** The runner's own limit for this file, which is told to it by this call. */
t.setTimeout(ALL_MS + 10 * 60_000);

for (const { folder, udev } of [
  { folder: 'inside', udev: false },
  { folder: 'inside-udev', udev: true },
]) {
  const files = globSync(path.join(FOLDER, folder, '*.test.ts'))
    .map((file) => path.relative(process.cwd(), file))
    .sort();
  if (files.length > 0) await t.test(folder, { timeout: ALL_MS }, (t) => runAll(t, files, udev));
}

/**
 * How many boots there may be for one set of files. KVM inside QEMU's emulation now and then leaves a processor of the kernel
 * stuck in a guest of its own, about once in an hour (seen with QEMU 7.2). Then the files that had not ended are run in a
 * new boot. Nothing else is tried again.
 */
const BOOTS_MAX = 4;
const STUCK = /soft lockup/;

async function runAll(t: Test, files: readonly string[], udev: boolean): Promise<void> {
  const unheard = new Set(files);
  for (let boot = 1; unheard.size > 0; boot += 1) {
    const stuck = await runOnce(t, unheard, udev);
    if (!stuck || boot === BOOTS_MAX) break;
    t.comment('a processor of the kernel was stuck in KVM: the files that are left run in another boot');
  }
  for (const file of unheard) fail(t, `${file} came to no end`);
}

/** Runs the files in one boot, and takes those off that came to an end. True when a processor of the kernel got stuck. */
async function runOnce(t: Test, unheard: Set<string>, udev: boolean): Promise<boolean> {
  let failed = false;
  try {
    const { bootMs, totalMs, kernelLog } = await runFiles([...unheard], {
      udev,
      limitMs: LIMIT_MS,
      onFile: ({ file, ok, summary, details }) => {
        unheard.delete(file);
        failed ||= !ok;
        if (ok) return t.pass(`${file} (${summary})`);
        // As comments, since a long text in a diagnosis is folded.
        for (const line of details) t.comment(line);
        fail(t, `${file} (${summary})`);
      },
      onLine: (line) => t.comment(line),
    });
    t.comment(`${seconds(bootMs)} to boot, ${seconds(totalMs)} in all`);
    // Device-mapper tells its reasons only there.
    if (failed) t.comment(`the kernel's log:\n${kernelLog}`);
    return false;
  } catch (error) {
    t.comment(error instanceof Error ? error.message : error);
    return error instanceof KernelError && STUCK.test(error.kernelLog);
  }
}

/** Without the place of the assertion in this file, which says nothing of what failed inside. */
function fail(t: Test, what: string): void {
  t.fail(what, { at: null, stack: '' });
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`;
}
