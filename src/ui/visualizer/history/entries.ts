import type { Inspection } from '../../../actors/system/inspection.ts';
import type { Transition } from '../../lib/types.ts';

/**
 * What happened to one actor, oldest first: its transitions by number, each refused command behind the transition that was the last
 * one then.
 */
export type Entries = readonly Inspection[];

/** Most entries that a page keeps of one actor. The oldest go first. */
export const MAX_ENTRIES = 20_000;

/** What the server calls the present when it does not know of the transition that led to it. */
const NOW = 'now';

/** A transition of the records as the inspection that it was. */
export function fromTransition(transition: Transition): Inspection {
  const { v, sandbox_id, sandbox, moment, ...rest } = transition;
  return {
    v,
    kind: 'sandbox',
    id: sandbox_id,
    ...rest,
    refused: null,
    allowed: sandbox.allowed,
    moment: moment ?? null,
  };
}

/** Both together, each thing once. What arrives on several ways is one entry with all that any of them said. */
export function merge(entries: Entries, incoming: Entries): Entries {
  if (incoming.length === 0) return entries;
  if (isAfter(incoming, entries.at(-1))) return [...entries, ...incoming].slice(-MAX_ENTRIES);
  const byKey = new Map(entries.map((entry) => [keyOf(entry), entry]));
  for (const entry of incoming) {
    const known = byKey.get(keyOf(entry));
    byKey.set(keyOf(entry), known ? both(known, entry) : entry);
  }
  return [...byKey.values()].sort(inOrder).slice(-MAX_ENTRIES);
}

/**
 * Whether what comes in is told by another process than what is known: a host counts anew when it starts.
 *
 * @param incoming transitions, oldest first
 */
export function isAnew(entries: Entries, [first]: Entries): boolean {
  const last = entries.at(-1);
  return last !== undefined && first !== undefined && first.seq <= last.seq && first.at > last.at;
}

/** Whether the one only goes on where the other ends, as it nearly always does. */
function isAfter(incoming: Entries, last: Inspection | undefined): boolean {
  let before = last?.seq ?? -1;
  return incoming.every(({ seq, refused }) => {
    const isNext = seq > before && refused === null;
    before = seq;
    return isNext;
  });
}

/** What tells an entry from the others of its actor, also when more is learnt of it. */
export function keyOf({ seq, refused, at }: Inspection): string {
  return refused === null ? `${seq}` : `${seq} ${refused} ${at}`;
}

function both(known: Inspection, news: Inspection): Inspection {
  const told = news.cause === NOW ? known : news;
  const allowed = news.allowed.length > 0 ? news.allowed : known.allowed;
  return { ...told, allowed, moment: news.moment ?? known.moment };
}

function inOrder(a: Inspection, b: Inspection): number {
  if (a.seq !== b.seq) return a.seq - b.seq;
  if ((a.refused === null) !== (b.refused === null)) return a.refused === null ? -1 : 1;
  return a.at < b.at ? -1 : a.at > b.at ? 1 : 0;
}

/** What was read of texts once: a history is gone through again with each of its transitions. */
const times = new WeakMap<Inspection, number>();

/** Milliseconds since the epoch at which an entry happened. */
export function timeOf(entry: Inspection): number {
  const known = times.get(entry);
  if (known !== undefined) return known;
  const ms = Date.parse(entry.at);
  times.set(entry, ms);
  return ms;
}
