import type { ActorKind, FleetRow, HostInfo, Usual } from '../../lib/types.ts';
import { hasFailed, isRetrying, stuckness } from './attention.ts';

/** What the list of actors can be narrowed to. */
export const NARROWINGS = ['all', 'stuck', 'retrying', 'failed'] as const;
export type Narrowing = (typeof NARROWINGS)[number];

/** An actor as it stands in the list. */
export interface ListedActor {
  kind: ActorKind;
  id: string;
  hostId: string;
  /** Empty when it is not known. */
  state: string;
  since: string | null;
  errorCode: string | null;
}

export interface Search {
  /** Words that all must be found in kind, id, state, host, template or error. */
  words: string;
  narrowing: Narrowing;
  host: string | null;
}

/** Most actors that are listed; whoever looks for one writes more of it. */
export const LISTED_MAX = 200;

/**
 * The sandboxes that are looked for, and how many there are beyond the listed ones. They are in the order of their ids: a row keeps
 * its place while others change.
 *
 * @param nowMs the server's time, in milliseconds since the epoch
 */
export function find(
  rows: Iterable<FleetRow>,
  { words, narrowing, host }: Search,
  usual: ReadonlyMap<string, Usual>,
  nowMs: number,
): { actors: ListedActor[]; more: number } {
  const wanted = wordsOf(words);
  const found: FleetRow[] = [];
  for (const row of rows) {
    if (host !== null && row.host_id !== host) continue;
    if (narrowing === 'stuck' && !stuckness(row, usual, nowMs)) continue;
    if (narrowing === 'retrying' && !isRetrying(row)) continue;
    if (narrowing === 'failed' && !hasFailed(row)) continue;
    if (wanted.length > 0 && !includesAll(textOf(row), wanted)) continue;
    found.push(row);
  }
  found.sort((a, b) => (a.id < b.id ? -1 : 1));
  return {
    actors: found.slice(0, LISTED_MAX).map(({ id, host_id, state, since, error_code }) => ({
      kind: 'sandbox',
      id,
      hostId: host_id,
      state,
      since,
      errorCode: error_code,
    })),
    more: Math.max(0, found.length - LISTED_MAX),
  };
}

/** The host and the loop registry of each host that is looked for. They are never stuck or failed here. */
export function findHosts(
  hosts: readonly Pick<HostInfo, 'host_id' | 'state'>[],
  { words, narrowing, host }: Search,
): ListedActor[] {
  if (narrowing !== 'all') return [];
  const wanted = wordsOf(words);
  return hosts
    .filter(({ host_id }) => host === null || host_id === host)
    .flatMap(({ host_id, state }): ListedActor[] => {
      const shared = { id: host_id, hostId: host_id, since: null, errorCode: null };
      return [
        { kind: 'host', state, ...shared },
        { kind: 'loop-registry', state: '', ...shared },
      ];
    })
    .filter(({ kind, id, state }) => includesAll(`${kind} ${id} ${state}`, wanted));
}

function textOf({ id, state, host_id, template, error_code }: FleetRow): string {
  return `sandbox ${id} ${state} ${host_id} ${template} ${error_code ?? ''}`;
}

function wordsOf(text: string): string[] {
  return text.toLowerCase().split(/\s+/).filter(Boolean);
}

function includesAll(text: string, words: readonly string[]): boolean {
  const lower = text.toLowerCase();
  return words.every((word) => lower.includes(word));
}
