import type { AnyStateMachine, AnyStateNode } from 'xstate';
import type { EDGE_KINDS, EdgeMember } from './drawing.ts';
import type { Kind } from './kinds.ts';

/** What a machine's configuration declares, read from XState's tree of its states. */

export type EdgeKind = (typeof EDGE_KINDS)[number];

/** One transition of the configuration that leads to a state. */
export interface DeclaredTransition extends EdgeMember {
  kind: EdgeKind;
  /** What happens, in a person's words. */
  words: string;
  /** Whether it is made when no guard of those before it holds. */
  isElse: boolean;
}

/** Dotted name of a state: what transitions call it. */
export const nameOf = (node: AnyStateNode): string => node.path.join('.');

/** The states that a state is made of, in the order of the configuration. */
export const childrenOf = (node: AnyStateNode): AnyStateNode[] => Object.values(node.states);

/** All states of a machine but its root, each before those inside it. */
export function statesOf(machine: AnyStateMachine): AnyStateNode[] {
  const below = (node: AnyStateNode): AnyStateNode[] =>
    childrenOf(node).flatMap((child) => [child, ...below(child)]);
  return below(machine.root);
}

/** The transitions of a state that lead somewhere. Those without a target change no state and are no edges. */
export function transitionsOf(node: AnyStateNode, kind: Kind): DeclaredTransition[] {
  return [...node.transitions].flatMap(([event, all]) =>
    all.flatMap((transition, index) => {
      const [target] = (transition.target ?? []) as readonly AnyStateNode[];
      if (!target) return [];
      const { cause, words } = causeOf(event, node, kind);
      const guard = guardName(transition.guard);
      return [
        {
          from: nameOf(node),
          cause,
          to: nameOf(leafEntered(target)),
          guard,
          kind: kindOfEdge(cause, node, kind),
          words,
          isElse: guard === null && index > 0,
        },
      ];
    }),
  );
}

/** The innermost state that is entered with a state. */
export function leafEntered(node: AnyStateNode): AnyStateNode {
  const [inner] = (node.initial?.target ?? []) as readonly AnyStateNode[];
  return inner ? leafEntered(inner) : node;
}

/** XState's names of events as inspections have them, and in words. */
function causeOf(event: string, node: AnyStateNode, { words }: Kind): { cause: string; words: string } {
  const watch = isRest(node) ? `${node.invoke[0]?.src} ends` : null;
  if (event.startsWith('xstate.done.actor.')) return { cause: 'step.done', words: watch ?? 'done' };
  if (event.startsWith('xstate.error.actor.')) return { cause: 'step.failed', words: watch ?? 'fails' };
  const delay = /^xstate\.after\.(.+?)\./.exec(event)?.[1];
  if (delay) return { cause: 'timeout', words: delay };
  return { cause: event, words: words[event] ?? event };
}

function kindOfEdge(cause: string, node: AnyStateNode, kind: Kind): EdgeKind {
  if (cause === 'timeout' || kind.timers.includes(cause)) return 'timeout';
  if (cause === 'step.failed' || kind.mishaps.includes(cause)) return 'failure';
  if (cause === 'step.done') return isRest(node) ? 'failure' : 'step';
  return kind.commands.includes(cause) ? 'command' : 'event';
}

/** Whether nothing is under way in a state: a step that ends there is a watch, and what it watches has gone. */
const isRest = (node: AnyStateNode): boolean => node.tags.includes('rest');

/** The name of a guard that is given by its name, or by an object that has one. */
function guardName(guard: unknown): string | null {
  if (typeof guard === 'string') return guard;
  return (guard as { type?: string } | undefined)?.type ?? null;
}
