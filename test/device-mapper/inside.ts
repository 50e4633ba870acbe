import path from 'node:path';
import readline from 'node:readline';
import type { Readable } from 'node:stream';
import { execa } from 'execa';
import { countDevices } from './device-count.ts';
import { look, newSince, settle } from './leftovers.ts';

/**
 * Runs test files inside the kernel, one after another, each as a process of its own, and writes TAP: a subtest for each
 * file, which fails as well when the file leaves something in the kernel. A comment says how many devices device-mapper
 * made meanwhile.
 */

const INDENT = '    ';
/**
 * Longest time for one file, in seconds: tap's own is 30, and a program that takes milliseconds outside takes tenths of a
 * second in here.
 */
const FILE_LIMIT_S = 2400;
/** How long tap may take to tell of that, in seconds. */
const TELLING_S = 30;

const bundles = process.env.DORMOUSE_TEST_BUNDLES ?? process.cwd();
const files = process.argv.slice(2);
const devices = await countDevices();
let failed = 0;

console.log('TAP version 14');
for (const [index, file] of files.entries()) {
  if (!(await runFile(file, nameOf(file), index + 1))) failed += 1;
}
console.log(`1..${files.length}`);
console.log(`# kernel: ${(await devices.made()) ?? 'an unknown number of'} device-mapper devices were made`);
process.exitCode = failed > 0 ? 1 : 0;

/** The test file of a bundle. */
function nameOf(file: string): string {
  return path.relative(bundles, file).replace(/\.mjs$/, '.ts');
}

async function runFile(file: string, name: string, number: number): Promise<boolean> {
  const before = await look();
  const madeBefore = (await devices.made()) ?? 0;
  const startedAt = performance.now();
  console.log(`# Subtest: ${name}`);
  const subprocess = execa(process.execPath, ['--enable-source-maps', path.resolve(file)], {
    stdin: 'ignore',
    buffer: false,
    reject: false,
    timeout: (FILE_LIMIT_S + TELLING_S) * 1000,
    env: { TAP_TIMEOUT: String(FILE_LIMIT_S) },
  });
  let counts = '';
  const { exitCode, signal } = (
    await Promise.all([
      subprocess,
      eachLine(subprocess.stdout, (line) => {
        counts = /^# \{ (total: .*) \}$/.exec(line)?.[1] ?? counts;
        // Each subtest has its own version line, and a plan in it; only the outermost begins a stream.
        if (line !== 'TAP version 14') console.log(`${INDENT}${line}`);
      }),
      eachLine(subprocess.stderr, (line) => console.log(`${INDENT}# stderr: ${line}`)),
    ])
  )[0];
  const left = await settle(async () => newSince(before, await look()));

  const wrong = [
    ...(exitCode === 0 ? [] : [`it ended with ${signal ?? `status ${exitCode}`}`]),
    ...(counts === '' ? ['it did not come to its end'] : []),
    ...left.map((thing) => `it left ${thing}`),
  ];
  for (const line of wrong) console.log(`${INDENT}# ${line}`);
  const took = `${Math.round(performance.now() - startedAt)}ms`;
  const made = ((await devices.made()) ?? 0) - madeBefore;
  console.log(`${INDENT}# ${counts || 'no counts'}; devices: ${made}`);
  console.log(`${wrong.length === 0 ? 'ok' : 'not ok'} ${number} - ${name} # time=${took}`);
  return wrong.length === 0;
}

async function eachLine(input: Readable, onLine: (line: string) => void): Promise<void> {
  for await (const line of readline.createInterface({ input })) onLine(line);
}
