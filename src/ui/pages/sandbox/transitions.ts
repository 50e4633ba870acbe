import { request } from '../../lib/api.ts';
import type { Transition } from '../../lib/types.ts';

/** What the records have of one sandbox. */

/** Largest page that the server gives. */
const PAGE = 200;
/** By how much further one looks back each time. */
const FURTHER = 16;

/**
 * The transitions after one of them, oldest first: all that the records have.
 *
 * @throws `ApiError`; what `signal` was aborted with
 */
export async function transitionsAfter(
  id: string,
  afterSeq: number,
  signal: AbortSignal,
): Promise<Transition[]> {
  const found: Transition[] = [];
  for (let isAll = false; !isAll; ) {
    const path = `/v1/sandboxes/${id}/transitions?after_seq=${found.at(-1)?.seq ?? afterSeq}&limit=${PAGE}`;
    const { transitions } = await request<{ transitions: Transition[] }>('GET', path, { signal });
    found.push(...transitions);
    isAll = transitions.length < PAGE;
  }
  return found;
}

/**
 * The newest transitions, oldest first. Numbers leap ahead when the host has lost its power: then it looks further back.
 *
 * @param seq number of the last one, which the records may not have yet
 * @throws as `transitionsAfter`
 */
export async function newestTransitions(
  id: string,
  seq: number,
  count: number,
  signal: AbortSignal,
): Promise<Transition[]> {
  for (let back = count; ; back *= FURTHER) {
    const after = Math.max(0, seq - back);
    const found = await transitionsAfter(id, after, signal);
    const hasLeap = found.length < (found.at(-1)?.seq ?? seq) - after;
    if (found.length >= count || after === 0 || !hasLeap) return found.slice(-count);
  }
}
