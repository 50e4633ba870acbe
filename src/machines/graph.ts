import { createHash } from 'node:crypto';
import type { AnyStateNode } from 'xstate';
import type { ActorKind } from '../actors/system/inspection.ts';
import {
  childrenOf,
  type DeclaredTransition,
  leafEntered,
  nameOf,
  statesOf,
  transitionsOf,
} from './declared.ts';
import type { DrawnState } from './drawing.ts';
import { edgesOf, type GraphEdge } from './edges.ts';
import type { Kind } from './kinds.ts';
import { isWithin } from './match.ts';

/** A machine as states and edges, without a place for either. */

export type GraphState = Omit<DrawnState, 'x' | 'y' | 'width' | 'height'>;

export interface MachineGraph {
  kind: ActorKind;
  title: string;
  /** Hash of all the rest. */
  version: string;
  /** Each state before those inside it, in the order of the machine. */
  states: GraphState[];
  edges: GraphEdge[];
}

const VERSION_LENGTH = 16;

/** The graph of a machine: the same for the same machine. */
export function graphOf(kind: Kind): MachineGraph {
  const { machine, title } = kind;
  const nodes = statesOf(machine);
  const transitions = nodes.flatMap((node) => transitionsOf(node, kind));
  const forward = reachedForward(nameOf(leafEntered(machine.root)), transitions);
  const states = nodes.map((node): GraphState => {
    const id = nameOf(node);
    return {
      id,
      label: node.key,
      parent: node.parent && node.parent !== machine.root ? nameOf(node.parent) : null,
      kind: kindOfState(node),
      initial: isInitial(node),
      failure: !forward.some((name) => isWithin(name, id)),
      tags: [...node.tags],
      step: node.invoke[0] ? String(node.invoke[0].src) : null,
    };
  });
  const parts = { kind: kind.kind, title, states, edges: edgesOf(transitions) };
  const hash = createHash('sha256').update(JSON.stringify(parts)).digest('hex');
  return { ...parts, version: hash.slice(0, VERSION_LENGTH) };
}

function kindOfState(node: AnyStateNode): GraphState['kind'] {
  if (childrenOf(node).length > 0) return 'compound';
  return node.type === 'final' ? 'final' : 'atomic';
}

function isInitial(node: AnyStateNode): boolean {
  const targets = (node.parent?.initial?.target ?? []) as readonly AnyStateNode[];
  return targets.includes(node);
}

/** The innermost states that are come to while nothing fails. */
function reachedForward(first: string, transitions: readonly DeclaredTransition[]): string[] {
  const reached = new Set<string>();
  const arrive = (name: string): void => {
    if (reached.has(name)) return;
    reached.add(name);
    for (const { from, to, kind } of transitions) if (kind !== 'failure' && isWithin(name, from)) arrive(to);
  };
  arrive(first);
  return [...reached];
}
