import { type Entries, timeOf } from './entries.ts';
import type { Row } from './rows.ts';
import type { Rules } from './rules.ts';

/** A state on the tape: the whole history in one line, long times drawn shorter than they are. */
interface Segment {
  /** Of the entry that led to the state. */
  index: number;
  state: string;
  kind: 'rest' | 'step' | 'back';
  /** Milliseconds in the state. */
  ms: number;
  /** Where it begins and how long it is, as parts of the tape. */
  x: number;
  width: number;
}

/** What stands above the tape, where something else than a step's success happened. */
export interface Mark {
  index: number;
  kind: 'failure' | 'refusal' | 'command';
  x: number;
}

/** Most states that are drawn at once; some pixels are left for each, and all of them move when one is added. */
export const MAX_SEGMENTS = 150;

/** A rest is drawn as long as this many milliseconds at most: what matters is between them. */
const REST_MAX_MS = 1_000;

/**
 * Lays a history out on the tape.
 *
 * @param rows all of them, unfiltered
 * @param at index of the entry that must be on it
 * @param nowMs until when the last state lasts, in milliseconds since the epoch
 */
export function tapeOf(
  rows: readonly Row[],
  rules: Rules,
  at: number,
  nowMs: number,
): { segments: Segment[]; marks: Mark[] } {
  const from = Math.max(0, Math.min(rows.length - MAX_SEGMENTS, at - MAX_SEGMENTS / 2));
  const shown = rows.slice(from, from + MAX_SEGMENTS);
  const entries = rows.map(({ entry }) => entry);
  const segments: Segment[] = [];
  let total = 0;
  for (const { index, entry } of shown) {
    if (entry.refused !== null) continue;
    const ms = Math.max(0, endOf(entries, index, nowMs) - timeOf(entry));
    const isRest = rules.rests.has(entry.to);
    const width = weight(isRest ? Math.min(ms, REST_MAX_MS) : ms);
    const kind = isRest ? 'rest' : rules.ways.has(entry.to) ? 'back' : 'step';
    segments.push({ index, state: entry.to, kind, ms, x: total, width });
    total += width;
  }
  for (const segment of segments) {
    segment.x /= total;
    segment.width /= total;
  }
  return { segments, marks: marksOf(shown, segments, entries, nowMs) };
}

/** Equal ratios of time are equal lengths, from 10 ms on. */
function weight(ms: number): number {
  return 1 + Math.log10(1 + ms / 10);
}

/** When the state that an entry led to was left. */
function endOf(entries: Entries, index: number, nowMs: number): number {
  for (let next = index + 1; next < entries.length; next += 1) {
    const entry = entries[next];
    if (entry?.refused === null) return timeOf(entry);
  }
  return nowMs;
}

function marksOf(
  shown: readonly Row[],
  segments: readonly Segment[],
  entries: Entries,
  nowMs: number,
): Mark[] {
  const marks: Mark[] = [];
  let segment: Segment | undefined;
  let next = 0;
  for (const { index, entry, kind } of shown) {
    while ((segments[next]?.index ?? Number.POSITIVE_INFINITY) <= index) segment = segments[next++];
    if (kind === 'transition' || !segment) continue;
    if (kind !== 'refusal') {
      marks.push({ index, kind, x: segment.x });
      continue;
    }
    const begin = entries[segment.index];
    const length = endOf(entries, segment.index, nowMs) - (begin ? timeOf(begin) : nowMs);
    const part = begin && length > 0 ? (timeOf(entry) - timeOf(begin)) / length : 0;
    marks.push({ index, kind, x: segment.x + segment.width * Math.min(1, Math.max(0, part)) });
  }
  return marks;
}

/** Index of the entry whose state stands at a place of the tape, from 0 to 1. */
export function entryAt(segments: readonly Segment[], x: number): number | undefined {
  return (segments.findLast((segment) => segment.x <= x) ?? segments[0])?.index;
}
