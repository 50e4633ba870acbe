import type { Command } from 'commander';
import { type Clock, systemClock } from '../../clock.ts';
import { loadConfig } from '../../config/config.ts';
import { DormouseError, messageOf } from '../../errors/index.ts';
import { isLoopback } from '../../loopback.ts';
import { Client } from '../client.ts';
import type { OwnServer } from '../demo/own-server.ts';
import { type DemoLife, demoSteps } from '../demo/steps.ts';
import { formatDuration } from '../format.ts';
import { interruptible } from '../interrupt.ts';
import { type JsonOption, withExamples, withJson } from '../options.ts';
import { paint, paintError, print, printJson, say } from '../output.ts';
import { describeProblem, hasProblemCode, problemOf } from '../problem.ts';
import { type ServerAddress, serverAddress } from '../server-info.ts';
import { printable } from '../table.ts';

interface DemoOptions extends JsonOption {
  ownServerIfNone?: boolean;
}

/** Longest time that the end of a failed demo waits for its sandbox to be gone, in milliseconds. */
const DESTROY_LIMIT_MS = 30_000;
const NAME_WIDTH = 20;
const TIME_WIDTH = 10;

/** `dormouse demo`: a sandbox's whole life, step by step, each with its time. */
export function addDemoCommand(program: Command): void {
  const command = program
    .command('demo')
    .description("play a sandbox's whole life against the running server; status 0 when every check held")
    .option('--own-server-if-none', 'when no server runs, start one for the demo and leave nothing of it')
    .action(async (options: DemoOptions) => {
      process.exitCode = await runDemo(options, systemClock);
    });
  withExamples(withJson(command, 'print one JSON line for each step'), [
    ['dormouse demo', 'create, exec, write, count, pause, resume, check, destroy'],
    ['dormouse demo --own-server-if-none --json', 'needs no running server'],
  ]);
}

/** Returns the exit status. What was started is stopped and removed, also after a failure or a Ctrl-C. */
async function runDemo(options: DemoOptions, clock: Clock): Promise<number> {
  const interruption = interruptible(clock);
  const { signal } = interruption;
  let server: OwnServer | undefined;
  try {
    const running = await findServer(signal);
    if (running === undefined && !options.ownServerIfNone) {
      throw new DormouseError(
        'SERVER_UNREACHABLE',
        'No server answers. Start one with `npm start`, or let the demo do it: `npm run demo`.',
      );
    }
    if (running === undefined) {
      say('No server runs: starting one in a temporary data directory …');
      const { startOwnServer } = await import('../demo/own-server.ts');
      server = await startOwnServer((line) => say(paintError('dim', `  ${printable(line)}`)), clock, signal);
    }
    const address = running ?? server?.address;
    if (address === undefined) throw new DormouseError('INTERNAL', 'The demo has no server.');
    const everyCheckHeld = await playLife(address, options, clock, signal);
    return signal.aborted ? interruption.status() : everyCheckHeld ? 0 : 1;
  } catch (error) {
    if (!signal.aborted) throw error;
    return interruption.status();
  } finally {
    if (server) {
      say('Stopping the server and removing its data …');
      await server.stop();
    }
    interruption.end();
  }
}

/** The address of the server that runs, or undefined when there is none or it does not answer. */
async function findServer(signal: AbortSignal): Promise<ServerAddress | undefined> {
  try {
    const address = await serverAddress(loadConfig());
    await new Client(address, signal).ready();
    return address;
  } catch (error) {
    if (hasProblemCode(error, 'SERVER_UNREACHABLE')) return undefined;
    throw error;
  }
}

/** Plays the steps up to the first that fails, and says whether none did. The sandbox is gone afterwards. */
async function playLife(
  address: ServerAddress,
  options: DemoOptions,
  clock: Clock,
  signal: AbortSignal,
): Promise<boolean> {
  const life: DemoLife = {
    client: new Client(address, signal),
    isLocal: isLoopback(new URL(address.url).hostname),
    id: undefined,
  };
  const report = options.json ? reportJson : reportLine;
  const startedMs = clock.monotonicMs();
  let ok = true;
  try {
    for (const step of demoSteps(life)) {
      const stepStartedMs = clock.monotonicMs();
      const result = await step.play().then(
        (detail) => ({ ok: true, detail }),
        (error: unknown) => ({ ok: false, detail: messageOf(error) }),
      );
      report({ step: step.name, ...result, duration_ms: clock.monotonicMs() - stepStartedMs });
      ok &&= result.ok;
      if (!ok) break;
    }
  } finally {
    await destroyLeftover(address, life, clock);
  }
  const detail = ok ? 'every check held' : signal.aborted ? 'stopped' : 'a check failed';
  report({ step: 'total', ok, detail, duration_ms: clock.monotonicMs() - startedMs });
  return ok;
}

/** Destroys the sandbox of a demo that did not get to its end. Not under the demo's signal, which may have aborted. */
async function destroyLeftover(address: ServerAddress, life: DemoLife, clock: Clock): Promise<void> {
  if (life.id === undefined) return;
  const limit = new AbortController();
  const timer = clock.after(DESTROY_LIMIT_MS, () => limit.abort());
  try {
    await new Client(address, limit.signal).destroy(life.id);
  } catch (error) {
    say(`The sandbox ${life.id} was not destroyed:`);
    for (const line of describeProblem(problemOf(error))) say(line);
  } finally {
    timer.cancel();
  }
}

interface StepReport {
  step: string;
  ok: boolean;
  detail: string;
  duration_ms: number;
}

function reportJson(report: StepReport): void {
  printJson({ ...report, duration_ms: Math.round(report.duration_ms * 10) / 10 });
}

function reportLine({ step, ok, detail, duration_ms }: StepReport): void {
  const mark = ok ? paint('green', '✓') : paint('red', '✗');
  const time = formatDuration(duration_ms).padStart(TIME_WIDTH);
  print(`${mark} ${step.padEnd(NAME_WIDTH)} ${time}  ${printable(detail)}`);
}
