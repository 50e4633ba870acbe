import { quantile } from '../lifecycle/statistics.ts';
import type { Operated, Operation, OperationWay } from './operations.ts';

/** What a figure is beside another one of the same round: the median of the rounds, the least and the greatest. */
export interface Ratio {
  median: number;
  least: number;
  greatest: number;
}

/** An operation through the lane may take this many times as long as its bare commands in sequence. */
export const LANE_RATIO_MAX = 1.2;
/** What the lane is measured against: the same commands, started as Dormouse starts them. */
export const BASELINE: OperationWay = 'bare, execa';

/** A promise about operations, and whether this run kept it. */
export interface Goal {
  operation: Operation;
  way: OperationWay;
  others: number;
  limit: number;
  value: number;
  met: boolean;
}

export function ratioOf(pairs: ReadonlyArray<readonly [ours: number, theirs: number]>): Ratio {
  const ratios = pairs.map(([ours, theirs]) => ours / theirs);
  return { median: quantile(ratios, 0.5), least: quantile(ratios, 0), greatest: quantile(ratios, 1) };
}

/** How long the operation took one way beside another, in the same rounds. */
export function besides(
  figures: readonly Operated[],
  { operation, others, way }: Pick<Operated, 'operation' | 'others' | 'way'>,
  baseline: OperationWay,
): Ratio {
  const of = (wanted: OperationWay): Operated[] =>
    figures.filter((one) => one.operation === operation && one.others === others && one.way === wanted);
  return ratioOf(
    of(way).flatMap(({ ms, round }) => {
      const beside = of(baseline).find((other) => other.round === round);
      return beside ? [[ms, beside.ms] as const] : [];
    }),
  );
}

/** Goals for what goes through the lane. */
export function laneGoals(figures: readonly Operated[]): Goal[] {
  const seen = new Set<string>();
  return figures.flatMap(({ way, operation, others }) => {
    const key = `${way} ${operation} ${others}`;
    if (!way.startsWith('lane') || seen.has(key)) return [];
    seen.add(key);
    const value = besides(figures, { way, operation, others }, BASELINE).median;
    return [{ operation, way, others, limit: LANE_RATIO_MAX, value, met: value <= LANE_RATIO_MAX }];
  });
}
