/** What the states of a sandbox mean to a person who looks at many of them. */

/** `running` and `paused` are where a sandbox rests; in `moving` it is on its way; `failed` needs somebody. */
export const STATE_GROUPS = ['running', 'paused', 'moving', 'failed'] as const;
export type StateGroup = (typeof STATE_GROUPS)[number];

const FAILED = new Set(['crashed', 'stranded', 'failed']);

/** The first part of a full state value: `pausing` of `pausing.snapshotting`. */
export function topLevel(state: string): string {
  return state.split('.', 1)[0] ?? state;
}

/** The group of a full state value. */
export function groupOf(state: string): StateGroup {
  const top = topLevel(state);
  if (top === 'running' || top === 'paused') return top;
  return FAILED.has(top) ? 'failed' : 'moving';
}
