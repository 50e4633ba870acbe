import type { Measure } from './life.ts';
import { type MemoryMeasure, SIZES_MB } from './memory.ts';
import { quantile, type Samples } from './statistics.ts';

/** A promise about a figure, and whether this run kept it. */
export interface Goal {
  what: string;
  limit: number;
  /** NaN when the run did not measure it. */
  value: number;
  unit: 'ms' | '×';
  met: boolean;
}

const RATIO_MAX = 1.3;
const RATIO_GOALS = ['create', 'pause', 'resume'] as const satisfies Measure[];
const MEDIAN_GOALS_MS = { pause: 40, resumeToExec: 200, createToExec: 350 } as const satisfies Partial<
  Record<Measure, number>
>;
const MEMORY_RATIO_MAX = 1.15;

const median = (samples: readonly number[]): number => quantile(samples, 0.5);

/** Goals for a life's steps, through Dormouse and beside the bare ones. */
export function lifeGoals(dormouse: Samples<Measure>, bare: Samples<Measure>): Map<Measure, Goal[]> {
  const goals = new Map<Measure, Goal[]>();
  const add = (measure: Measure, goal: Goal): void =>
    void goals.set(measure, [...(goals.get(measure) ?? []), goal]);
  for (const measure of RATIO_GOALS)
    add(
      measure,
      goal('median beside bare', median(dormouse.of(measure)) / median(bare.of(measure)), RATIO_MAX, '×'),
    );
  for (const [measure, limit] of Object.entries(MEDIAN_GOALS_MS) as Array<[Measure, number]>)
    add(measure, goal('median', median(dormouse.of(measure)), limit, 'ms'));
  return goals;
}

/** Goals for the larger memory beside the smaller one. */
export function memoryGoals(samples: Samples<MemoryMeasure>): Map<'pause' | 'resume', Goal> {
  const [small, large] = SIZES_MB;
  return new Map(
    (['pause', 'resume'] as const).map((step) => [
      step,
      goal(
        `median beside ${small} MiB`,
        median(samples.of(`${step} ${large}`)) / median(samples.of(`${step} ${small}`)),
        MEMORY_RATIO_MAX,
        '×',
      ),
    ]),
  );
}

function goal(what: string, value: number, limit: number, unit: Goal['unit']): Goal {
  return { what, limit, value, unit, met: value <= limit };
}

/** A goal in a few words, such as `≤ 1.3 × met`. */
export function inWords({ limit, unit, met }: Goal): string {
  return `≤ ${limit} ${unit} ${met ? 'met' : 'NOT MET'}`;
}
