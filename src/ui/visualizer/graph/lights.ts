import type { MachineDrawing } from '../../../machines/drawing.ts';
import { edgeOf } from '../../../machines/match.ts';
import type { Entries } from '../history/entries.ts';
import { announce } from '../history/explanation.ts';
import { type Operation, operationAt } from '../history/operations.ts';

/** How a state is lit: it is the present one; the operation came through it; it failed there. */
export type StateLight = 'current' | 'visited' | 'failed';
/** How an edge is lit: it was the last one; the operation went along it; the same on the way back from a failure. */
export type EdgeLight = 'last' | 'last-back' | 'path' | 'back';

/** What is lit on a graph at one moment. */
export interface Lights {
  current: string | null;
  states: ReadonlyMap<string, StateLight>;
  edges: ReadonlyMap<string, EdgeLight>;
  /** The command that was refused just then; null when none was. */
  refused: string | null;
  /** What happened, in a sentence. */
  text: string;
}

export const DARK: Lights = {
  current: null,
  states: new Map(),
  edges: new Map(),
  refused: null,
  text: '',
};

/**
 * What to light when an entry is looked at: its state, and the way that the operation took there.
 *
 * @param index of the entry; what came after it is left dark
 */
export function lightsAt(
  drawing: MachineDrawing,
  entries: Entries,
  operations: readonly Operation[],
  index: number,
): Lights {
  const entry = entries[index];
  if (!entry) return DARK;
  const operation = operationAt(operations, index);
  const states = new Map<string, StateLight>();
  const edges = new Map<string, EdgeLight>();
  let last: string | undefined;
  for (let at = operation?.first ?? index; at <= Math.min(index, operation?.last ?? index); at += 1) {
    const passed = entries[at];
    if (!passed) continue;
    const hasFailed = operation?.failure != null && at >= operation.failure;
    if (passed.from !== null) states.set(passed.from, at === operation?.failure ? 'failed' : 'visited');
    // A command that was refused on the way has none.
    const edge = edgeOf(drawing, passed)?.id;
    if (edge === undefined) continue;
    edges.set(edge, hasFailed ? 'back' : 'path');
    last = edge;
  }
  if (last !== undefined) edges.set(last, edges.get(last) === 'back' ? 'last-back' : 'last');
  states.set(entry.to, 'current');
  return { current: entry.to, states, edges, refused: entry.refused, text: announce(entry) };
}
