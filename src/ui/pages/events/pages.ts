import { request } from '../../lib/api.ts';
import type { EventPage } from '../../lib/types.ts';
import { type EventRow, keyOf, ofTransition, ROWS_KEPT } from './feed.ts';

/** What the records have of the transitions of all sandboxes, newest first. */

const PAGE_SIZE = 100;

/**
 * A page of them.
 *
 * @param cursor `next` of the page before; empty for the newest
 * @returns `next`: null when there is none after it
 * @throws `ApiError`
 */
export async function loadPage(
  cursor: string,
  signal?: AbortSignal,
): Promise<{ rows: EventRow[]; next: string | null }> {
  const query = new URLSearchParams({ limit: String(PAGE_SIZE), ...(cursor && { cursor }) });
  const page = await request<EventPage>('GET', `/v1/events?${query}`, signal && { signal });
  return { rows: page.transitions.map(ofTransition), next: page.next_cursor };
}

/**
 * What is newer than the newest that is known, and as much of it as the page keeps.
 *
 * @param known keys of rows
 * @throws `ApiError`; what `signal` was aborted with
 */
export async function loadNewer(known: ReadonlySet<string>, signal: AbortSignal): Promise<EventRow[]> {
  const newer: EventRow[] = [];
  for (let cursor: string | null = ''; cursor !== null && newer.length < ROWS_KEPT; ) {
    const { rows, next } = await loadPage(cursor, signal);
    const end = rows.findIndex((row) => known.has(keyOf(row)));
    newer.push(...(end === -1 ? rows : rows.slice(0, end)));
    cursor = end === -1 ? next : null;
  }
  return newer;
}
