import type { FleetRow, Usual } from '../../lib/types.ts';

/** Sandboxes that somebody should look at. */
export interface Attention {
  /** Longer in a step than nearly all others were. */
  stuck: StuckRow[];
  /** An undo of theirs failed and is tried again. */
  retrying: FleetRow[];
  /** What failed or crashed and waits for somebody. */
  failed: FleetRow[];
}

interface StuckRow {
  row: FleetRow;
  /** Milliseconds in the state. */
  ms: number;
  /** What is usual: the 99th percentile, or a fixed time where too few are known. */
  limitMs: number;
}

/** So many times must be known of a state before its 99th percentile says anything. */
const KNOWN_ENOUGH = 20;
/** Limit for a step of which not enough is known. */
const UNKNOWN_LIMIT_MS = 60_000;
/** Below this nothing is stuck, however quick the others were: the page itself is some 100 ms behind. */
const LEAST_LIMIT_MS = 1_000;

/** States in which sandboxes stay because nobody wants anything else of them. */
const AT_EASE = new Set(['running', 'paused', 'failed', 'crashed.resting', 'stranded']);

/**
 * Finds what needs attention, the newest first and of what is stuck the longest.
 *
 * @param nowMs the server's time, in milliseconds since the epoch
 * @param host only of this one; null for all
 */
export function attentionTo(
  rows: Iterable<FleetRow>,
  usual: ReadonlyMap<string, Usual>,
  nowMs: number,
  host: string | null = null,
): Attention {
  const found: Attention = { stuck: [], retrying: [], failed: [] };
  for (const row of rows) {
    if (host !== null && row.host_id !== host) continue;
    const stuck = stuckness(row, usual, nowMs);
    if (stuck) found.stuck.push(stuck);
    if (isRetrying(row)) found.retrying.push(row);
    if (hasFailed(row)) found.failed.push(row);
  }
  found.stuck.sort((a, b) => b.ms - a.ms);
  found.retrying.sort(newestFirst);
  found.failed.sort(newestFirst);
  return found;
}

/** How long a sandbox is stuck already; undefined when it is not. */
export function stuckness(
  row: FleetRow,
  usual: ReadonlyMap<string, Usual>,
  nowMs: number,
): StuckRow | undefined {
  if (AT_EASE.has(row.state)) return undefined;
  const known = usual.get(row.state);
  const limitMs =
    known && known.count >= KNOWN_ENOUGH ? Math.max(known.p99_ms, LEAST_LIMIT_MS) : UNKNOWN_LIMIT_MS;
  const ms = nowMs - Date.parse(row.since);
  return ms > limitMs ? { row, ms, limitMs } : undefined;
}

export function isRetrying({ tries, state }: FleetRow): boolean {
  return state === 'stranded' || (tries ?? 0) > 0;
}

export function hasFailed({ state }: FleetRow): boolean {
  return state === 'failed' || state.startsWith('crashed');
}

function newestFirst(a: FleetRow, b: FleetRow): number {
  return a.since < b.since ? 1 : a.since > b.since ? -1 : 0;
}
