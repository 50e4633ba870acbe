import { setTimeout as sleep } from 'node:timers/promises';
import { table } from '../../src/cli/table.ts';
import { throughDormouse } from './dormouse.ts';
import { TRUE, type Way } from './life.ts';
import { ms } from './report.ts';
import type { Server } from './server.ts';
import { quantile, Samples } from './statistics.ts';

/** The parts of a command's time, from the history of the sandbox and from what the caller saw. */

interface Transition {
  seq: number;
  at: string;
  to: string;
  cause: string;
  step: string | null;
  step_duration_ms: number | null;
}

const COMMANDS = ['create', 'pause', 'resume', 'destroy'] as const;
type Command = (typeof COMMANDS)[number];
/** The state in which each command is answered. */
const ANSWERED_IN: Record<Command, string> = {
  create: 'running',
  pause: 'paused',
  resume: 'running',
  destroy: 'destroyed',
};
/** Parts that are no step of the machine. */
const BEFORE = 'from the request to the first transition';
const BETWEEN = 'between the steps, all together';
const AFTER = 'from the last transition to the answer';
const WHOLE = 'the whole command';

const HISTORY_POLL_MS = 20;
const HISTORY_LIMIT = 200;

/** When a command was sent and answered, in milliseconds since the epoch with fractions. */
interface Call {
  command: Command;
  sentMs: number;
  answeredMs: number;
}

/**
 * Lives whole lives and returns a table of where the time of each command goes: the median of each step, and what lies
 * before, between and after the steps (journal, events, bus, HTTP). Times of transitions are whole milliseconds, so what is
 * computed from them is a mean.
 */
export async function stepsThrough(
  server: Server,
  { rounds, memoryMb }: { rounds: number; memoryMb: number },
  settle: () => Promise<void>,
  signal: AbortSignal,
): Promise<string> {
  const parts = new Map(COMMANDS.map((command) => [command, new Samples<string>()]));
  for (let round = 0; round <= rounds; round += 1) {
    const { id, calls } = await live(server, memoryMb, settle, signal);
    const history = await historyOf(server, id, signal);
    // The first life finds nothing in the caches.
    if (round > 0) for (const call of calls) divide(call, history, parts.get(call.command));
  }
  const rows = [...parts].flatMap(([command, samples]) =>
    samples.names().map((part) => {
      const values = samples.of(part);
      const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
      return [command, part, ms(quantile(values, 0.5)), ms(quantile(values, 0.95)), ms(mean)];
    }),
  );
  return table(['command', 'part (ms)', 'p50', 'p95', 'mean'], rows);
}

async function live(
  server: Server,
  memoryMb: number,
  settle: () => Promise<void>,
  signal: AbortSignal,
): Promise<{ id: string; calls: Call[] }> {
  let id = '';
  const way: Way = throughDormouse(server, signal, (made) => {
    id = made;
  });
  const calls: Call[] = [];
  const call = async <T>(command: Command, operation: () => Promise<T>): Promise<T> => {
    await settle();
    const sentMs = performance.timeOrigin + performance.now();
    const value = await operation();
    calls.push({ command, sentMs, answeredMs: performance.timeOrigin + performance.now() });
    return value;
  };
  await way.prepare(memoryMb);
  const life = await call('create', () => way.create({ memoryMb, cold: false }));
  await life.exec(TRUE);
  await call('pause', () => life.pause());
  await life.flushed();
  await call('resume', () => life.resume());
  await life.exec(TRUE);
  await call('destroy', () => life.destroy());
  return { id, calls };
}

/** All transitions of a sandbox that was destroyed; the read model has them a moment after the answer. */
async function historyOf({ api }: Server, id: string, signal: AbortSignal): Promise<Transition[]> {
  const path = `/sandboxes/${id}/transitions?limit=${HISTORY_LIMIT}`;
  for (;;) {
    const { transitions } = await api.call<{ transitions: Transition[] }>('GET', path, undefined, signal);
    if (transitions.at(-1)?.to === 'destroyed') return transitions;
    await sleep(HISTORY_POLL_MS, undefined, { signal });
  }
}

/** Adds the parts of one call to the samples. */
function divide(call: Call, history: readonly Transition[], samples: Samples<string> | undefined): void {
  const from = history.findIndex(({ cause }) => cause === call.command);
  const to = history.findIndex(({ to }, index) => index >= from && to === ANSWERED_IN[call.command]);
  const taken = history.slice(from, to + 1);
  const [first, last] = [taken[0], taken.at(-1)];
  if (!samples || from < 0 || !first || !last) throw new Error(`the history has no ${call.command}`);
  const [firstMs, lastMs] = [Date.parse(first.at), Date.parse(last.at)];
  // The first transition is the command's own; a step that ended with it belongs to the state before.
  let inSteps = 0;
  samples.add(BEFORE, firstMs - call.sentMs);
  for (const { step, step_duration_ms: duration } of taken.slice(1)) {
    if (step === null || duration === null) continue;
    samples.add(step, duration);
    inSteps += duration;
  }
  samples.add(BETWEEN, lastMs - firstMs - inSteps);
  samples.add(AFTER, call.answeredMs - lastMs);
  samples.add(WHOLE, call.answeredMs - call.sentMs);
}
