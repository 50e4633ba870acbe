import type { Fault } from './faults.ts';
import { choicesOf } from './plans.ts';
import { type RunResult, run } from './run.ts';
import type { Scenario } from './scenarios.ts';

/** Everything that makes a run what it is. */
export interface Tape {
  scenario: string;
  faults: Fault[];
  /** The choices; 0 beyond the end. */
  choices: number[];
}

/** How many runs shrinking may take. */
const RUNS_MAX = 400;

/**
 * Makes a failing run as simple as it can be found to be: fewer faults first, then fewer choices that are not the oldest task, then a
 * shorter tape. What is left is what the failure is about.
 *
 * @returns the simplest run that still fails, with its story
 */
export async function shrink(
  scenario: Scenario,
  failing: { faults: readonly Fault[]; seed: number | undefined; choices?: readonly number[] },
): Promise<{ tape: Tape; result: RunResult }> {
  const first = await run({
    scenario,
    faults: failing.faults,
    tape: failing.choices ?? [],
    more: choicesOf({ scenario, faults: [], seed: failing.seed }),
  });
  let faults = [...failing.faults];
  let choices = [...first.choices];
  let runs = 0;
  const fails = async (fewer: readonly Fault[], tape: readonly number[]): Promise<boolean> => {
    runs += 1;
    return runs <= RUNS_MAX && (await run({ scenario, faults: fewer, tape })).violations.length > 0;
  };

  for (let at = faults.length - 1; at >= 0; at -= 1) {
    const fewer = faults.filter((_, other) => other !== at);
    if (await fails(fewer, choices)) faults = fewer;
  }
  if (await fails(faults, [])) choices = [];
  // Halves, quarters, …: a run of choices becomes that of the oldest tasks.
  for (let size = choices.length; size >= 1; size = Math.floor(size / 2)) {
    for (let at = 0; at < choices.length; at += size) {
      if (choices.slice(at, at + size).every((choice) => choice === 0)) continue;
      const simpler = choices.map((choice, other) => (other >= at && other < at + size ? 0 : choice));
      if (await fails(faults, simpler)) choices = simpler;
    }
  }
  while (choices.at(-1) === 0) choices.pop();
  const result = await run({ scenario, faults, tape: choices, tells: true });
  return { tape: { scenario: scenario.name, faults, choices }, result };
}
