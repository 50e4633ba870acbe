import type { DeclaredTransition } from './declared.ts';
import type { DrawnEdge, EdgeMember } from './drawing.ts';
import { isWithin } from './match.ts';

/** From the transitions of a machine to the edges that are drawn: fewer, because some stand for several. */

export interface GraphEdge
  extends Pick<DrawnEdge, 'id' | 'source' | 'target' | 'kind' | 'label' | 'members'> {
  /** Whether the label says more than the way in which the edge is drawn. */
  isLabelled: boolean;
}

/** An edge that is not merged yet. */
interface Candidate extends DeclaredTransition {
  source: string;
}

/** As many states fail to one other before it is drawn as one edge, from the state around them. */
const FAILURES_TO_GATHER = 4;

/** The name of the state around a state; empty for one of the outermost. */
export const outerOf = (name: string): string => name.slice(0, Math.max(0, name.lastIndexOf('.')));

/** Merges transitions to edges, in the order of the machine. */
export function edgesOf(transitions: readonly DeclaredTransition[]): GraphEdge[] {
  const merged = new Map<string, Candidate[]>();
  for (const one of gathered(bestEffort(transitions))) {
    const id = `${one.source}→${one.to}:${one.kind}`;
    merged.set(id, [...(merged.get(id) ?? []), one]);
  }
  return [...merged].map(([id, all]) => edgeOf(id, all));
}

function edgeOf(id: string, all: readonly Candidate[]): GraphEdge {
  const [{ source, to: target, kind }] = all as [Candidate];
  const labels = [...new Set(all.map(labelOf))];
  return {
    id,
    source,
    target,
    kind,
    label: labels.join(', '),
    isLabelled: labels.some((label) => !MATTERS_OF_COURSE.has(label)),
    members: all.map(({ from, cause, to, guard }): EdgeMember => ({ from, cause, to, guard })),
  };
}

/** What is said by the way in which the edge is drawn. */
const MATTERS_OF_COURSE = new Set(['done', 'fails']);

function labelOf({ cause, words, guard, isElse, kind }: Candidate): string {
  const isEnd = MATTERS_OF_COURSE.has(words);
  // Where a step leads whose failure does not matter.
  if (kind === 'step' && cause === 'step.failed') return words;
  if (guard) return isEnd ? `[${guard}]` : `${words} [${guard}]`;
  if (!isElse || kind === 'failure') return words;
  return isEnd ? '[else]' : `${words} [else]`;
}

/** A step whose failure leads where its success does is a matter of course: both are drawn as a step. */
function bestEffort(transitions: readonly DeclaredTransition[]): DeclaredTransition[] {
  return transitions.map((one) => {
    const twin = transitions.find(
      ({ from, to, kind }) => one.kind === 'failure' && kind === 'step' && from === one.from && to === one.to,
    );
    return twin ? { ...one, kind: 'step', isElse: false } : one;
  });
}

/**
 * Failures that several states share leave the state around them. As in every statechart, a state inside that fails to
 * another one says so itself.
 */
function gathered(transitions: readonly DeclaredTransition[]): Candidate[] {
  const shared = new Map<string, number>();
  const keyOf = ({ from, to, kind, guard, cause }: DeclaredTransition): string | undefined => {
    const outer = outerOf(from);
    const isPlain = kind === 'failure' && guard === null && cause === 'step.failed';
    return isPlain && outer && !isWithin(to, outer) ? `${outer}→${to}` : undefined;
  };
  for (const one of transitions) {
    const key = keyOf(one);
    if (key) shared.set(key, (shared.get(key) ?? 0) + 1);
  }
  return transitions.map((one) => {
    const key = keyOf(one);
    const isShared = key !== undefined && (shared.get(key) ?? 0) >= FAILURES_TO_GATHER;
    return { ...one, source: isShared ? outerOf(one.from) : one.from };
  });
}
