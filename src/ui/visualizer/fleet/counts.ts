import type { FleetRow } from '../../lib/types.ts';

/** A selection of the fleet: null selects all. */
interface Selection {
  host: string | null;
}

/**
 * How many sandboxes are in each state and in each state around it, by full name.
 *
 * @param into is emptied and filled, so that a frame makes no garbage
 */
export function countStates(
  rows: Iterable<FleetRow>,
  { host }: Selection,
  into: Map<string, number>,
): Map<string, number> {
  into.clear();
  for (const { state, host_id } of rows) {
    if (host !== null && host_id !== host) continue;
    into.set(state, (into.get(state) ?? 0) + 1);
    const dot = state.indexOf('.');
    if (dot > 0) {
      const outer = state.slice(0, dot);
      into.set(outer, (into.get(outer) ?? 0) + 1);
    }
  }
  return into;
}
