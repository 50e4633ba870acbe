import type { ActorKind } from '../actors/system/inspection.ts';

/**
 * How machines are arranged on their sheets. A program finds a place for everything, but not the sense in it: the higher a state
 * stands, the more alive the actor is in it.
 */
export interface Sheet {
  /** The outermost states in rows, from above. Edges between rows of a machine lead down, or are drawn as coming up. */
  rows: ReadonlyArray<readonly string[]>;
  /** States whose steps lead up, from their last row to the first. */
  upward: readonly string[];
  /** The arrangement is found by trying; the seed is one of those with the fewest crossings. */
  seed: number;
}

export const sheets: Readonly<Record<ActorKind, Sheet>> = {
  sandbox: {
    rows: [
      ['running'],
      ['creating', 'pausing', 'resuming', 'capturing', 'restarting'],
      ['paused', 'crashed'],
      ['stranded'],
      ['undoing', 'destroying'],
      ['failed', 'destroyed'],
    ],
    upward: ['creating', 'resuming', 'restarting'],
    seed: 15,
  },
  host: {
    rows: [['starting'], ['ready'], ['draining'], ['stopping'], ['stopped']],
    upward: [],
    seed: 1,
  },
  'loop-registry': {
    rows: [
      ['rebuilding'],
      ['tidying', 'failed'],
      ['ready'],
      ['attaching', 'releasing', 'looking'],
      ['undoing'],
    ],
    upward: [],
    seed: 1,
  },
};
