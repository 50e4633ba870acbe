import { mkdir, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { type Bare, bare } from './bare.ts';
import { stepsThrough } from './breakdown.ts';
import { throughDormouse } from './dormouse.ts';
import { liveCold, liveWarm, type Measure, type Way } from './life.ts';
import { machineFacts } from './machine-facts.ts';
import { compareMemory, type MemoryMeasure } from './memory.ts';
import { asJson, asText, factsAsText, type Results } from './report.ts';
import { startServer } from './server.ts';
import { Samples } from './statistics.ts';

const HELP = `Usage: npm run bench -- [options]

Measures the steps of a sandbox's life through HTTP on a Dormouse of its own,
each beside the same steps done bare (QEMU, its monitor and the guest's protocol
driven by a plain script) in the same run, in turn.

  --rounds N      lives to measure each way (default 20)
  --memory-mb N   guest memory in MiB (default 512)
  --settle-ms N   rest before each measured step, for what is done in the
                  background (default 300)
  --steps         instead: print how long each step of the state machine takes,
                  and what lies between the steps
  --no-memory     leave out the comparison of two sizes of memory
  --json FILE     file for all figures (default bench/results/lifecycle.json)
  --help          print this

Needs root and a machine with little else to do; figures of a busy machine tell
more as ratios than as times.`;

const DEFAULT_JSON = path.join(import.meta.dirname, '..', 'results', 'lifecycle.json');

function settings() {
  const { values } = parseArgs({
    options: {
      rounds: { type: 'string', default: '20' },
      'memory-mb': { type: 'string', default: '512' },
      'settle-ms': { type: 'string', default: '300' },
      steps: { type: 'boolean', default: false },
      'no-memory': { type: 'boolean', default: false },
      json: { type: 'string', default: DEFAULT_JSON },
      help: { type: 'boolean', default: false },
    },
  });
  const whole = (name: 'rounds' | 'memory-mb' | 'settle-ms', least: number): number => {
    const value = Number(values[name]);
    if (!Number.isInteger(value) || value < least)
      throw new RangeError(`--${name} takes a whole number of at least ${least}, not "${values[name]}"`);
    return value;
  };
  return {
    rounds: whole('rounds', 1),
    memoryMb: whole('memory-mb', 128),
    settleMs: whole('settle-ms', 0),
    steps: values.steps,
    compareSizes: !values['no-memory'],
    json: values.json,
    help: values.help,
  };
}

/** One cold create for this many warm lives: a boot takes seconds. */
const LIVES_PER_BOOT = 4;

async function measure(
  { rounds, memoryMb, compareSizes }: ReturnType<typeof settings>,
  ways: { dormouse: Way; bare: Way },
  facts: Results['facts'],
  settle: () => Promise<void>,
): Promise<Results> {
  const results: Results = {
    facts,
    memoryMb,
    dormouse: new Samples<Measure>(),
    bare: new Samples<Measure>(),
    memory: new Samples<MemoryMeasure>(),
  };
  const both = (round: number): Way[] =>
    round % 2 === 0 ? [ways.dormouse, ways.bare] : [ways.bare, ways.dormouse];
  // The first life of each way finds nothing in the caches and is not counted.
  for (const way of both(0)) await liveWarm(way, memoryMb, settle, () => {});
  for (let round = 0; round < rounds; round += 1) {
    for (const way of both(round))
      await liveWarm(way, memoryMb, settle, (measure, ms) => results[way.name].add(measure, ms));
    if (round % LIVES_PER_BOOT === 0)
      for (const way of both(round / LIVES_PER_BOOT))
        await liveCold(way, memoryMb, settle, (measure, ms) => results[way.name].add(measure, ms));
    progress(`round ${round + 1} of ${rounds}`);
  }
  if (compareSizes) {
    progress('comparing sizes of memory');
    await compareMemory(ways.dormouse, rounds, settle, results.memory);
  }
  return results;
}

function progress(what: string): void {
  console.error(`bench: ${what}`);
}

async function main(): Promise<void> {
  const given = settings();
  if (given.help) return console.log(HELP);
  const load = os.loadavg()[0] ?? Number.NaN;
  const interrupted = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
    process.once(name, () => interrupted.abort(new Error(`interrupted by ${name}`)));
  const { signal } = interrupted;
  const settle = (): Promise<void> => sleep(given.settleMs, undefined, { signal });

  progress('starting a Dormouse');
  const server = await startServer(signal);
  let plain: Bare | undefined;
  try {
    const facts = await machineFacts(server.paths, load);
    if (given.steps) {
      const text = await stepsThrough(server, given, settle, signal);
      console.log(`${factsAsText(facts)}\n\n${text}`);
      return;
    }
    plain = await bare(server.paths, signal);
    const ways = { dormouse: throughDormouse(server, signal), bare: plain };
    const results = await measure(given, ways, facts, settle);
    console.log(asText(results));
    await mkdir(path.dirname(given.json), { recursive: true });
    await writeFile(given.json, `${asJson(results)}\n`);
    progress(`all figures are in ${path.relative(process.cwd(), given.json)}`);
  } catch (error) {
    // What was under way fails in one way or another; why it did is that it was interrupted.
    throw signal.aborted ? signal.reason : error;
  } finally {
    progress('cleaning up');
    await plain?.close();
    await server.stop();
  }
}

try {
  await main();
} catch (error) {
  console.error(`bench: ${error instanceof Error ? error.message : error}`);
  process.exitCode = 1;
}
