import { groupOf, type StateGroup, topLevel } from '../../lib/states.ts';
import type { FleetRow, Sandbox } from '../../lib/types.ts';

/** Which sandboxes the list shows, and in which order. Nothing here needs a browser. */

export interface Filter {
  /** Words that must all be somewhere in what is known of the sandbox. */
  text: string;
  group: StateGroup | 'all';
  /** A top-level state; empty for all of them. */
  state: string;
}

export type SortKey = 'created' | 'id' | 'state' | 'since' | 'template' | 'host' | 'used';

export interface Order {
  key: SortKey;
  isDescending: boolean;
}

/** What is known beside what the stream tells. */
interface Known {
  sandboxes: ReadonlyMap<string, Sandbox>;
  /** What disk and memory of a sandbox really take, in bytes. */
  usedBytes: ReadonlyMap<string, number>;
}

export interface View {
  ids: string[];
  /** Of all, whatever the filter. */
  counts: Record<StateGroup | 'all', number>;
}

/** The ids that pass the filter, in their order, and how many there are of each group. */
export function viewOf(rows: Iterable<FleetRow>, known: Known, filter: Filter, order: Order): View {
  const counts = { all: 0, running: 0, paused: 0, moving: 0, failed: 0 };
  const words = filter.text.toLowerCase().split(/\s+/).filter(Boolean);
  const found: FleetRow[] = [];
  for (const row of rows) {
    const group = groupOf(row.state);
    counts.all += 1;
    counts[group] += 1;
    if (filter.group !== 'all' && filter.group !== group) continue;
    if (filter.state !== '' && filter.state !== topLevel(row.state)) continue;
    if (words.length > 0 && !hasAll(row, known.sandboxes.get(row.id), words)) continue;
    found.push(row);
  }
  return { ids: inOrder(found, known, order), counts };
}

function hasAll(row: FleetRow, sandbox: Sandbox | undefined, words: readonly string[]): boolean {
  const labels = Object.entries(sandbox?.metadata ?? {}).map(([name, value]) => `${name}=${value}`);
  const text = [row.id, row.state, row.template, row.host_id, row.error_code ?? '', ...labels]
    .join(' ')
    .toLowerCase();
  return words.every((word) => text.includes(word));
}

function inOrder(rows: FleetRow[], known: Known, { key, isDescending }: Order): string[] {
  const value = VALUES[key];
  const sign = isDescending ? -1 : 1;
  return rows
    .map((row) => ({ id: row.id, value: value(row, known) }))
    .sort((one, other) => sign * compare(one.value, other.value) || compare(one.id, other.id))
    .map(({ id }) => id);
}

const VALUES: Record<SortKey, (row: FleetRow, known: Known) => string | number> = {
  // One that is not known yet is newer than all that are.
  created: ({ id }, { sandboxes }) => sandboxes.get(id)?.created_at ?? '9',
  id: ({ id }) => id,
  state: ({ state }) => state,
  since: ({ since }) => since,
  template: ({ template }) => template,
  host: ({ host_id }) => host_id,
  used: ({ id }, { usedBytes }) => usedBytes.get(id) ?? -1,
};

function compare(one: string | number, other: string | number): number {
  if (one === other) return 0;
  return one < other ? -1 : 1;
}
