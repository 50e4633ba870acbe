import type { Inspection } from '../../../actors/system/inspection.ts';
import { type Entries, timeOf } from './entries.ts';
import type { Operation } from './operations.ts';
import { isFailure, type Rules } from './rules.ts';

/** What a row of the timeline can be told apart by. */
type RowKind = 'transition' | 'failure' | 'refusal' | 'command';
export const FILTERS = ['all', 'failures', 'refusals', 'commands'] as const;
export type Filter = (typeof FILTERS)[number];

/** An entry as it stands in the timeline. */
export interface Row {
  /** Of the entry. */
  index: number;
  entry: Inspection;
  kind: RowKind;
  /** Whether it is the first of an operation. */
  begins: boolean;
  /** Milliseconds in the state before; null for the first entry and for what was refused. */
  spentMs: number | null;
  /** Where that time lies in its operation, as parts of it from 0 to 1; null for what is no part of one, as a rest. */
  bar: { from: number; to: number } | null;
}

/** The rows of a history, oldest first. */
export function rowsOf(entries: Entries, operations: readonly Operation[], rules: Rules): Row[] {
  const rows: Row[] = [];
  let before: Inspection | undefined;
  let at = -1;
  for (const [index, entry] of entries.entries()) {
    if (operations[at + 1]?.first === index) at += 1;
    const operation = operations[at];
    const begins = operation?.first === index;
    const refused = entry.refused !== null;
    rows.push({
      index,
      entry,
      kind: kindOf(entry, rules),
      begins,
      spentMs: refused || before === undefined ? null : timeOf(entry) - timeOf(before),
      bar: refused || begins || !operation || !before ? null : barOf(entries, operation, before, entry),
    });
    if (!refused) before = entry;
  }
  return rows;
}

function kindOf(entry: Inspection, rules: Rules): RowKind {
  if (entry.refused !== null) return 'refusal';
  if (isFailure(entry, rules)) return 'failure';
  // Steps and timers have a dot or are called so; what remains was asked for by somebody.
  const isAsked = entry.command_id !== null && (entry.from === null || rules.rests.has(entry.from));
  return isAsked ? 'command' : 'transition';
}

function barOf(entries: Entries, { first, last }: Operation, before: Inspection, entry: Inspection) {
  const [begin, end] = [entries[first], entries[last]];
  if (!begin || !end) return null;
  const start = timeOf(begin);
  const length = Math.max(timeOf(end) - start, 1);
  return { from: (timeOf(before) - start) / length, to: (timeOf(entry) - start) / length };
}

const KINDS: Record<Exclude<Filter, 'all'>, RowKind> = {
  failures: 'failure',
  refusals: 'refusal',
  commands: 'command',
};

/** The rows that a filter leaves. */
export function filtered(rows: readonly Row[], filter: Filter): readonly Row[] {
  return filter === 'all' ? rows : rows.filter(({ kind }) => kind === KINDS[filter]);
}

/** How many rows each filter leaves. */
export function countsOf(rows: readonly Row[]): Record<Filter, number> {
  const counts: Record<RowKind, number> = { transition: 0, failure: 0, refusal: 0, command: 0 };
  for (const { kind } of rows) counts[kind] += 1;
  const { failure: failures, refusal: refusals, command: commands } = counts;
  return { all: rows.length, failures, refusals, commands };
}
