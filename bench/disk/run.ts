import { mkdir, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import type { Figures } from './measure.ts';
import { asJson, asText } from './report.ts';
import { HELP, neededMb, type Settings, settingsOf } from './settings.ts';

const INSIDE = 'bench/disk/inside.ts';
/** Size of the kernel's file system, beside what the run takes at its peak, in MiB. It is a sparse file. */
const SCRATCH_SPARE_MB = 4096;

function progress(what: string): void {
  console.error(`bench: ${what}`);
}

async function inKernel(settings: Settings, signal: AbortSignal): Promise<Figures> {
  // Only now: neither is needed to measure here.
  const { bundle } = await import('../../test/device-mapper/bundle.ts');
  const { runInKernel } = await import('../../test/device-mapper/boot.ts');
  progress('bundling');
  const [inside = ''] = (await bundle([INSIDE])).bundles;
  progress('booting a kernel with device-mapper');
  let printed = '';
  const { status, bootMs, totalMs } = await runInKernel({
    command: [process.execPath, inside, JSON.stringify(settings)],
    scratchMb: neededMb(settings) + SCRATCH_SPARE_MB,
    limitMs: settings.limitS * 1000,
    signal,
    onOutput: (output, chunk) => {
      if (output === 'stderr') process.stderr.write(chunk);
      else printed += chunk.toString('utf8');
    },
  });
  if (status !== 0) throw new Error(`the part inside the kernel ended with status ${status}`);
  progress(`${(bootMs / 1000).toFixed(1)} s to boot, ${(totalMs / 1000).toFixed(1)} s in all`);
  return JSON.parse(printed) as Figures;
}

async function onThisMachine(settings: Settings, signal: AbortSignal): Promise<Figures> {
  const { measure } = await import('./measure.ts');
  return await measure(settings, progress, signal);
}

async function main(): Promise<void> {
  const settings = settingsOf(process.argv.slice(2));
  if (settings.help) return console.log(HELP);
  const load = os.loadavg()[0] ?? Number.NaN;
  const interrupted = new AbortController();
  // Not `once`: execa ends the process by a signal that nobody listens to any more.
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
    process.on(name, () => interrupted.abort(new Error(`interrupted by ${name}`)));
  const { signal } = interrupted;
  try {
    const figures = await (settings.here ? onThisMachine : inKernel)(settings, signal);
    const run = { figures, settings, at: new Date().toISOString(), emulated: !settings.here, load };
    console.log(asText(run));
    await mkdir(path.dirname(settings.json), { recursive: true });
    await writeFile(settings.json, `${asJson(run)}\n`);
    progress(`all figures are in ${path.relative(process.cwd(), settings.json)}`);
  } catch (error) {
    // What was under way fails in one way or another; why it did is that it was interrupted.
    throw signal.aborted ? signal.reason : error;
  }
}

try {
  await main();
} catch (error) {
  console.error(`bench: ${error instanceof Error ? error.message : error}`);
  process.exitCode = 1;
}
