import { sandboxStepNames } from '../../src/actors/sandbox/steps/names.ts';
import type { Findings } from './explore.ts';
import { FAULTS, type FaultClass, IMPOSSIBLE, STEP_FAULTS } from './faults.ts';

/** What many runs were, for people. */

/** The steps of the host and of the loop registry, beside those of sandboxes. */
const OTHER_STEPS = ['adopt', 'letGo', 'look', 'attach', 'release', 'tidy'] as const;
export const STEPS: readonly string[] = [...sandboxStepNames, ...OTHER_STEPS];

const MS_PER_HOUR = 3_600_000;

/** One line of figures. */
export function summary({ schedules, traces, hits, simulatedMs, failures }: Findings): string {
  const faults = Object.values(hits).reduce((sum, count) => sum + count, 0);
  return `${schedules} schedules, ${traces.length} distinct traces, ${faults} faults, ${(simulatedMs / MS_PER_HOUR).toFixed(1)} simulated hours, ${failures.length} violations`;
}

/** How often each kind of fault befell each step. A dot: the step cannot have it. */
export function stepTable({ hits }: Pick<Findings, 'hits'>): string {
  const rows = STEPS.map((step) => [
    step,
    ...STEP_FAULTS.map((kind) =>
      IMPOSSIBLE[step]?.includes(kind) ? '·' : String(hits[`step/${kind}/${step}`] ?? 0),
    ),
  ]);
  return table([['step', ...STEP_FAULTS], ...rows]);
}

/** How often each kind of fault befell anything, by class. */
export function kindTable({ hits }: Pick<Findings, 'hits'>): string {
  const rows = Object.entries(FAULTS).flatMap(([of, kinds]) =>
    kinds.map((kind) => [of, kind, String(countOf(hits, of as FaultClass, kind))]),
  );
  return table([['befalls', 'kind', 'times'], ...rows]);
}

/** Cells of the two tables that are empty: a fault that no run had. */
export function emptyCells({ hits }: Pick<Findings, 'hits'>): string[] {
  const ofSteps = STEPS.flatMap((step) =>
    STEP_FAULTS.filter((kind) => !IMPOSSIBLE[step]?.includes(kind) && !hits[`step/${kind}/${step}`]).map(
      (kind) => `${step}: ${kind}`,
    ),
  );
  const ofKinds = Object.entries(FAULTS).flatMap(([of, kinds]) =>
    kinds.filter((kind) => countOf(hits, of as FaultClass, kind) === 0).map((kind) => `${of}: ${kind}`),
  );
  return [...ofSteps, ...ofKinds];
}

/** `fails 812, reply lost 640, …`, over everything. */
export function kindLine({ hits }: Pick<Findings, 'hits'>): string {
  const counts = new Map<string, number>();
  for (const [key, count] of Object.entries(hits)) {
    const kind = key.split('/')[1] ?? '';
    counts.set(kind, (counts.get(kind) ?? 0) + count);
  }
  return [...counts].map(([kind, count]) => `${kind} ${count}`).join(', ');
}

function countOf(hits: Findings['hits'], of: FaultClass, kind: string): number {
  return Object.entries(hits)
    .filter(([key]) => key.startsWith(`${of}/${kind}/`))
    .reduce((sum, [, count]) => sum + count, 0);
}

function table(rows: ReadonlyArray<readonly string[]>): string {
  const widths = (rows[0] ?? []).map((_, at) => Math.max(...rows.map((row) => row[at]?.length ?? 0)));
  return rows
    .map((row) =>
      row
        .map((cell, at) => (at === 0 ? cell.padEnd(widths[at] ?? 0) : cell.padStart(widths[at] ?? 0)))
        .join('  '),
    )
    .join('\n');
}
