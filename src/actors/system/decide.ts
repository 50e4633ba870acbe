import {
  type AnyMachineSnapshot,
  type AnyStateMachine,
  initialTransition,
  type StateValue,
  transition,
} from 'xstate';

/**
 * XState as a pure function: a state and an event give the next state and a list of effects, which the runtime carries
 * out. Nothing durable lives in a running XState actor, which loses `after` timers when it is restored, runs invoked
 * promises again without saying so, and dies silently when an action throws.
 */

/** What the runtime has to do after a transition. */
export type Effect =
  /** Run the step that the entered state invokes. */
  | { kind: 'start'; invokeId: string; step: string }
  /** The state that invoked the step was left. */
  | { kind: 'stop'; invokeId: string }
  /** Deliver `event` after `delayMs`, unless disarmed before. */
  | { kind: 'arm'; timer: string; delayMs: number; event: { type: string } }
  | { kind: 'disarm'; timer: string }
  /** An action that the machine only names; the actor's kind knows what it means. */
  | { kind: 'act'; type: string; params: Readonly<Record<string, unknown>> };

export interface Decision {
  snapshot: AnyMachineSnapshot;
  effects: Effect[];
}

/** The first state of a machine, with the effects of entering it. */
export function begin(machine: AnyStateMachine, input: unknown): Decision {
  const [snapshot, actions] = initialTransition(machine, input as never);
  return { snapshot, effects: effectsOf(undefined, snapshot, actions) };
}

/** The state after `event`, with the effects. The same state and no effects when the machine does not take the event. */
export function decide(
  machine: AnyStateMachine,
  before: AnyMachineSnapshot,
  event: { type: string },
): Decision {
  const [snapshot, actions] = transition(machine, before, event as never);
  return { snapshot, effects: effectsOf(before, snapshot, actions) };
}

/** A state again from what a journal keeps. Timers and steps are the runtime's to start again. */
export function restore(machine: AnyStateMachine, value: StateValue, context: unknown): AnyMachineSnapshot {
  return machine.resolveState({ value, context } as never);
}

/** The steps that the active states invoke, innermost last. */
export function activeSteps(snapshot: AnyMachineSnapshot): Array<{ invokeId: string; step: string }> {
  return snapshot._nodes.flatMap((node: { invoke: ReadonlyArray<{ id: string; src: unknown }> }) =>
    node.invoke.map((invoke) => ({ invokeId: invoke.id, step: String(invoke.src) })),
  );
}

/** Dotted form of a state value: `pausing.snapshotting`. Our machines have no parallel states. */
export function stateName(value: StateValue): string {
  if (typeof value === 'string') return value;
  const [outer, inner] = Object.entries(value)[0] ?? [];
  return inner === undefined ? String(outer) : `${outer}.${stateName(inner)}`;
}

/** Events by which a step's end comes back to the machine. XState's own names, so that `onDone` and `onError` match. */
export const stepDone = (invokeId: string, output: unknown) => ({
  type: `xstate.done.actor.${invokeId}`,
  output,
  actorId: invokeId,
});
export const stepFailed = (invokeId: string, error: unknown) => ({
  type: `xstate.error.actor.${invokeId}`,
  error,
  actorId: invokeId,
});

interface Action {
  type: string;
  params?: unknown;
}

function effectsOf(
  before: AnyMachineSnapshot | undefined,
  after: AnyMachineSnapshot,
  actions: readonly Action[],
): Effect[] {
  const effects: Effect[] = [];
  // XState names a stopped child by its actor, which a restored state does not have: compare the states instead.
  if (before) {
    const started = new Set(
      actions
        .filter((action) => action.type === 'xstate.spawnChild')
        .map((action) => (action.params as { id: string }).id),
    );
    const still = new Set(activeSteps(after).map((step) => step.invokeId));
    for (const { invokeId } of activeSteps(before)) {
      if (!still.has(invokeId) || started.has(invokeId)) effects.push({ kind: 'stop', invokeId });
    }
  }
  for (const action of actions) effects.push(...effectOf(action));
  return effects;
}

function effectOf(action: Action): Effect[] {
  const params = (action.params ?? {}) as Record<string, unknown>;
  switch (action.type) {
    case 'xstate.spawnChild':
      return [{ kind: 'start', invokeId: String(params.id), step: String(params.src) }];
    case 'xstate.stopChild':
      return [];
    case 'xstate.raise':
      return [
        {
          kind: 'arm',
          timer: String(params.id),
          delayMs: Number(params.delay),
          event: params.event as { type: string },
        },
      ];
    case 'xstate.cancel':
      return [{ kind: 'disarm', timer: String(params.sendId) }];
    default:
      if (action.type.startsWith('xstate.'))
        throw new Error(`the runtime does not know the action ${action.type}`);
      return [{ kind: 'act', type: action.type, params }];
  }
}
