import type { Inspection } from '../../../actors/system/inspection.ts';
import type { DrawnState, MachineDrawing } from '../../../machines/drawing.ts';

/** What the pages have to know of a machine to read its history. */
export interface Rules {
  /** States in which nothing is under way. */
  rests: ReadonlySet<string>;
  /** States that are only reached after a failure. */
  ways: ReadonlySet<string>;
  /** Where each state goes when its step succeeds. */
  successes: ReadonlyMap<string, ReadonlySet<string>>;
}

/** The rules of the machine that is drawn. */
export function rulesOf(drawing: MachineDrawing): Rules {
  const leaves = drawing.states.filter(({ kind }) => kind !== 'compound');
  const successes = new Map<string, Set<string>>();
  for (const { from, cause, to } of drawing.edges.flatMap(({ members }) => members)) {
    if (cause === 'step.done') successes.set(from, (successes.get(from) ?? new Set()).add(to));
  }
  return {
    rests: new Set(leaves.filter(isRest).map(({ id }) => id)),
    ways: new Set(drawing.states.filter(({ failure }) => failure).map(({ id }) => id)),
    successes,
  };
}

function isRest({ tags, step, kind }: DrawnState): boolean {
  return tags.includes('rest') || step === null || kind === 'final';
}

/**
 * Whether an entry is where something went wrong. A step that may fail without a consequence is none: it goes on as if it had
 * succeeded, and nothing keeps its error.
 */
export function isFailure(entry: Inspection, rules: Rules): boolean {
  const { from, to, error, moment } = entry;
  if (error === null || entry.refused !== null) return false;
  if (from === null || !rules.successes.get(from)?.has(to)) return true;
  return [moment?.context.failure, moment?.context.last_error].some(
    (kept) => typeof kept === 'object' && kept !== null && 'code' in kept && kept.code === error.code,
  );
}
