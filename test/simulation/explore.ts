import type { Fault, FaultHit } from './faults.ts';
import { choicesOf, oneFaultRuns, type PlannedRun, randomRun, twoFaultRuns } from './plans.ts';
import { preparedDisk, type RunResult, run } from './run.ts';
import { SCENARIOS } from './scenarios.ts';

/** Makes many runs, one after another, and sums up what they were. */

/** Which runs a worker is to make: every `of`-th of them, from `part` on, so that several share the work. */
export interface Share {
  part: number;
  of: number;
}

export type Work = Share &
  /** Of one scenario, or of all. */
  (
    | { kind: 'one fault' | 'two faults'; scenario?: string }
    /** Seeds from `from` on, `count` of them. */
    | { kind: 'random'; from: number; count: number }
  );

/** A run that must not be as it was. Enough to make it again. */
export interface Failure {
  scenario: string;
  faults: Fault[];
  seed: number | undefined;
  violations: readonly string[];
}

export interface Findings {
  schedules: number;
  simulatedMs: number;
  /** Hashes of the traces. */
  traces: number[];
  /** How often each kind of fault befell each step, and each kind of place: `class/kind/step`. */
  hits: Record<string, number>;
  failures: Failure[];
}

/** Stops after so many failures: the first ones say it all. */
const FAILURES_MAX = 10;

async function* plannedRuns(work: Work): AsyncGenerator<PlannedRun> {
  if (work.kind === 'random') {
    for (let seed = work.from + work.part; seed < work.from + work.count; seed += work.of)
      yield randomRun(seed);
    return;
  }
  let number = 0;
  for (const scenario of SCENARIOS) {
    if (work.scenario !== undefined && scenario.name !== work.scenario) continue;
    const runs = work.kind === 'one fault' ? oneFaultRuns(scenario) : twoFaultRuns(scenario);
    for await (const planned of runs) {
      if (number % work.of === work.part) yield planned;
      number += 1;
    }
  }
}

/**
 * @param progress called after each run with the number of runs so far
 * @param failuresMax ends the exploration after so many failures
 */
export async function explore(
  work: Work,
  progress: (schedules: number) => void = () => {},
  failuresMax = FAILURES_MAX,
): Promise<Findings> {
  const findings: Findings = { schedules: 0, simulatedMs: 0, traces: [], hits: {}, failures: [] };
  const traces = new Set<number>();
  try {
    // A host that cannot even be prepared fails every run.
    await preparedDisk();
  } catch (error) {
    findings.failures.push({ scenario: '', faults: [], seed: undefined, violations: [String(error)] });
    return findings;
  }
  for await (const planned of plannedRuns(work)) {
    const { scenario, faults } = planned;
    const result = await run({ scenario, faults, more: choicesOf(planned) });
    findings.schedules += 1;
    findings.simulatedMs += result.simulatedMs;
    traces.add(result.traceHash);
    for (const hit of result.hits) {
      const key = hitKey(hit);
      findings.hits[key] = (findings.hits[key] ?? 0) + 1;
    }
    if (result.violations.length > 0) findings.failures.push(failureOf(planned, result));
    if (findings.failures.length >= failuresMax) break;
    progress(findings.schedules);
  }
  findings.traces = [...traces];
  return findings;
}

function failureOf({ scenario, faults, seed }: PlannedRun, { violations }: RunResult): Failure {
  return { scenario: scenario.name, faults, seed, violations };
}

function hitKey({ class: of, kind, step }: FaultHit): string {
  return `${of}/${kind}/${step}`;
}
