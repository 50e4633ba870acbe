import { parentPort, workerData } from 'node:worker_threads';
import type { Frame } from '../../src/machines/recording.ts';
import type { Failure } from './explore.ts';
import { run } from './run.ts';
import { SCENARIOS, type Scenario } from './scenarios.ts';
import { shrink, type Tape } from './shrink.ts';

/** A worker that tells one run line by line: a tape as it is, or a failure once it is as simple as it can be made. */

Error.stackTraceLimit = 0;

export interface Told {
  tape: Tape;
  violations: readonly string[];
  story: readonly string[];
  frames: readonly Frame[];
  simulatedMs: number;
}

const { failure, tape } = workerData as { failure?: Failure; tape?: Tape };

function scenarioOf(name: string): Scenario {
  const found = SCENARIOS.find((scenario) => scenario.name === name);
  if (!found)
    throw new Error(
      `There is no scenario "${name}"; there are ${SCENARIOS.map((one) => one.name).join(', ')}.`,
    );
  return found;
}

async function tell(): Promise<Told> {
  if (failure) {
    const { tape: simplest, result } = await shrink(scenarioOf(failure.scenario), failure);
    return { tape: simplest, ...result };
  }
  if (!tape) throw new Error('nothing to replay');
  const { scenario, faults, choices } = tape;
  const result = await run({ scenario: scenarioOf(scenario), faults, tape: choices, tells: true });
  return { ...result, tape };
}

const { tape: told, violations, story, frames, simulatedMs } = await tell();
parentPort?.postMessage({ tape: told, violations, story, frames, simulatedMs } satisfies Told);
