import type { Fleet, FleetChange, FleetRefusal, FleetRow, Usual } from './types.ts';

/** What is known of the team's sandboxes, and how it changes with what the stream tells. Nothing here needs a browser. */

/** Newest changes and refusals that are kept. */
export const CHANGES_KEPT = 500;
export const REFUSALS_KEPT = 100;
/** Sandboxes that are gone and remembered, so that what is told twice does not bring them back. */
const GONE_KEPT = 5_000;

export type FleetEvent =
  | { event: 'transition'; data: FleetChange }
  | { event: 'refused'; data: FleetRefusal };

/**
 * The tables are changed in place: with thousands of rows a copy for every frame would be most of the work. Whoever shows
 * them is told by `live.ts` when they have changed.
 */
export interface FleetTables {
  rows: Map<string, FleetRow>;
  usual: Map<string, Usual>;
  /** Newest last. */
  changes: FleetChange[];
  refusals: FleetRefusal[];
  /** Number of the last transition of those that are gone. */
  gone: Map<string, number>;
}

export function emptyTables(): FleetTables {
  return { rows: new Map(), usual: new Map(), changes: [], refusals: [], gone: new Map() };
}

/** The tables as the server told them at once. */
export function tablesOf(fleet: Fleet): FleetTables {
  return {
    ...emptyTables(),
    rows: new Map(fleet.sandboxes.map((row) => [row.id, row])),
    usual: new Map(fleet.usual.map((usual) => [usual.state, usual])),
  };
}

/** Takes over what the stream told, in its order. What is older than what is known changes nothing. */
export function takeOver(tables: FleetTables, events: readonly FleetEvent[]): void {
  for (const { event, data } of events) {
    if (event === 'refused') tables.refusals.push(data);
    else takeChange(tables, data);
  }
  dropOldest(tables.changes, CHANGES_KEPT);
  dropOldest(tables.refusals, REFUSALS_KEPT);
}

function takeChange({ rows, changes, gone }: FleetTables, change: FleetChange): void {
  const known = rows.get(change.id)?.seq ?? gone.get(change.id) ?? 0;
  if (change.seq <= known) return;
  changes.push(change);
  if (change.state !== 'destroyed') {
    rows.set(change.id, change);
    return;
  }
  rows.delete(change.id);
  gone.set(change.id, change.seq);
  const [oldest] = gone.keys();
  if (gone.size > GONE_KEPT && oldest !== undefined) gone.delete(oldest);
}

function dropOldest(list: unknown[], kept: number): void {
  if (list.length > kept) list.splice(0, list.length - kept);
}
