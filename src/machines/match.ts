import type { DrawnEdge } from './drawing.ts';

/**
 * From what happened to the edge that shows it, and which states are inside which. Runs in pages, too: nothing of Node or of the machines is
 * imported.
 */

/** What of an inspection, or of an event, says which edge it took. */
export interface Happening {
  /** Full state value; null on the first transition. */
  from: string | null;
  to: string;
  cause: string;
}

/**
 * The edge of a transition.
 *
 * @returns undefined for what is no edge: the first transition, and news of a state that stays as it is
 */
export function edgeOf<Edge extends Pick<DrawnEdge, 'members'>>(
  { edges }: { edges: readonly Edge[] },
  { from, to, cause }: Happening,
): Edge | undefined {
  if (from === null) return undefined;
  // What a state inside takes itself, the states around it do not get.
  for (let state = from; state; state = state.slice(0, Math.max(0, state.lastIndexOf('.')))) {
    const found = edges.find(({ members }) =>
      members.some((member) => member.from === state && member.to === to && member.cause === cause),
    );
    if (found) return found;
  }
  return undefined;
}

/** Whether a state is another, or is inside it. */
export function isWithin(state: string, outer: string): boolean {
  return state === outer || state.startsWith(`${outer}.`);
}
