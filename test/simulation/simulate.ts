import { mkdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { Command, InvalidArgumentError } from 'commander';
import { messageOf } from '../../src/errors/index.ts';
import type { Failure, Findings } from './explore.ts';
import { exploreInParallel, replay } from './parallel.ts';
import { writeRecording } from './recording.ts';
import type { Told } from './replay.ts';
import { kindTable, stepTable, summary } from './report.ts';
import type { Tape } from './shrink.ts';
import { together } from './together.ts';

/** `npm run simulate`: many runs of the simulation, or one that is told line by line. */

const FAILURES = path.join(import.meta.dirname, '..', '..', '.cache', 'simulation', 'failures');
/** How many failures are made simple and told; the others are counted. */
const TOLD_MAX = 3;
/** Lines of a run's story that are printed: its end. */
const STORY_LINES = 60;

interface Options {
  seeds: number;
  from?: number;
  pairs?: boolean;
  replay?: string;
  record?: string;
}

const whole = (text: string): number => {
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 0) throw new InvalidArgumentError('It must be a whole number.');
  return value;
};

const program = new Command('simulate')
  .description(
    'Runs the real actors and protocols on a simulated host, under faults, and checks what must always hold.\nWithout options: every single fault at every place, and then random schedules.',
  )
  .option('--seeds <number>', 'how many random schedules', whole, 5_000)
  .option('--from <seed>', 'the first seed; another one each day when absent', whole)
  .option('--pairs', 'every pair of faults of steps instead (hours)')
  .option('--replay <file>', 'tells the run of a tape, which a failure was written to')
  .option('--record <file>', 'with --replay: also writes the run for the visualizer, which opens such files')
  .helpOption('-h, --help', 'prints this')
  .action(async (options: Options) => {
    if (options.replay) return await tellTape(options.replay, options.record);
    if (options.record) return program.error('--record needs --replay: it is one run that is recorded.');
    const from = options.from ?? Math.floor(Date.now() / 86_400_000) * 1_000_000;
    const rounds = options.pairs
      ? [{ title: 'every pair of faults', work: { kind: 'two faults' } as const }]
      : [
          { title: 'every single fault', work: { kind: 'one fault' } as const },
          {
            title: `random schedules, seeds ${from} to ${from + options.seeds - 1}`,
            work: { kind: 'random', from, count: options.seeds } as const,
          },
        ];
    const all: Findings[] = [];
    for (const { title, work } of rounds) {
      console.log(title);
      const findings = await exploreInParallel(work, { progress: show });
      clearLine();
      console.log(`  ${summary(findings)}`);
      all.push(findings);
    }
    const found = all.reduce(together);
    console.log(`\n${stepTable(found)}\n\n${kindTable(found)}`);
    const { failures } = found;
    for (const failure of failures.slice(0, TOLD_MAX)) await tellFailure(failure);
    if (failures.length > 0) process.exitCode = 1;
  });

await program.parseAsync();

async function tellFailure(failure: Failure): Promise<void> {
  const told = await replay({ failure });
  await mkdir(FAILURES, { recursive: true });
  const name = `${failure.scenario.replaceAll(' ', '-')}-${failure.seed ?? 'fault'}`;
  const file = path.join(FAILURES, `${name}.json`);
  const recording = path.join(FAILURES, `${name}.recording.json`);
  await writeFile(file, `${JSON.stringify(told.tape)}\n`);
  await writeRecording(recording, told, failure.seed);
  print(told);
  console.log(`\nThe same again: npm run simulate -- --replay ${path.relative(process.cwd(), file)}`);
  console.log(`To look at it: ${path.relative(process.cwd(), recording)}, on the visualizer's page`);
}

async function tellTape(file: string, recording: string | undefined): Promise<void> {
  const told = await replay({ tape: await tapeIn(file) });
  if (recording) await writeRecording(recording, told);
  print(told, Number.POSITIVE_INFINITY);
  process.exitCode = told.violations.length > 0 ? 1 : 0;
}

/** The tape in a file. Ends the program with what is wrong with it. */
async function tapeIn(file: string): Promise<Tape> {
  try {
    const tape = JSON.parse(await readFile(file, 'utf8')) as Tape;
    if (Array.isArray(tape.faults) && Array.isArray(tape.choices) && typeof tape.scenario === 'string')
      return tape;
    return program.error(`${file} is not a tape: it has no scenario, faults and choices.`);
  } catch (error) {
    return program.error(`${file} cannot be read as a tape: ${messageOf(error)}`);
  }
}

function print({ tape, violations, story }: Told, lines = STORY_LINES): void {
  console.log(`\n"${tape.scenario}" with ${tape.faults.length} faults and ${tape.choices.length} choices:`);
  for (const { class: of, at, kind } of tape.faults) console.log(`  ${of} ${at}: ${kind}`);
  if (story.length > lines) console.log(`  … ${story.length - lines} lines before`);
  for (const line of story.slice(-lines)) console.log(`  ${line}`);
  for (const violation of violations) console.log(`  VIOLATION ${violation}`);
  if (violations.length === 0) console.log('  nothing is wrong with it');
}

function show(schedules: number): void {
  if (process.stdout.isTTY) process.stdout.write(`\r  ${schedules} schedules`);
}

function clearLine(): void {
  if (process.stdout.isTTY) process.stdout.write('\r\x1b[K');
}
