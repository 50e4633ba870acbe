import type { AnyMachineSnapshot, AnyStateMachine } from 'xstate';
import {
  activeSteps,
  begin,
  type Decision,
  decide,
  type Effect,
  stateName,
  stepDone,
  stepFailed,
} from '../../src/actors/system/decide.ts';
import type { Step } from '../../src/actors/system/step.ts';

/**
 * Goes to every place that a machine can come to, breadth first, by the pure function that the actors use. In each place
 * it tries everything that can happen there: each end of the step that runs, each timer, each command, each event.
 *
 * Two contexts are one place when `Subject.key` says so. That the key is enough is tried too: what is new in the context
 * but not in the key must change nothing.
 */

/** A machine, what is tried on it, and what its states mean. */
export interface Subject {
  name: string;
  machine: AnyStateMachine;
  /** What it begins with: one exploration begins with each. */
  inputs: readonly unknown[];
  steps: Readonly<Record<string, Pick<Step<never, unknown>, 'timeoutMs'>>>;
  /** Bodies to try with each command. */
  commands: Readonly<Record<string, readonly unknown[]>>;
  /** `wait`: a command that does not fit waits until the machine takes it. */
  whenBusy: 'refuse' | 'wait';
  /** Events of the actor's own, without those of steps and timers. */
  events: ReadonlyArray<{ type: string; [key: string]: unknown }>;
  /** What a step may report. */
  outputs(step: string): readonly unknown[];
  /** Codes of errors that a step may fail with. */
  codes: readonly string[];
  /** The part of the context that guards and answers depend on. Plain data. */
  key(context: unknown): unknown;
  /** States in which nothing is under way. */
  rest: readonly string[];
  /** States that were answered for but go on by themselves, later. */
  waiting: readonly string[];
  /** Steps that last as long as their state. Only they have no time limit. */
  watches: readonly string[];
  /** Steps that nobody depends on: their end may change nothing. */
  background: readonly string[];
  /** What every state at rest takes. */
  always: readonly string[];
  /** The state that a command asks for: success is told there and nowhere else. Commands without one are not looked at. */
  goals: Readonly<Record<string, string>>;
}

/** A state with all that matters of its context. */
export interface Place {
  state: string;
  snapshot: AnyMachineSnapshot;
  isRest: boolean;
  isWaiting: boolean;
  isFinal: boolean;
  /** Timers that are armed, with the events that they deliver. */
  timers: ReadonlyMap<string, { type: string }>;
  /** Ids of the commands that were taken and not answered yet. */
  open: ReadonlySet<string>;
  /** What led here, from the start, on a shortest way. */
  way: readonly string[];
  /** Everything that can happen here. */
  moves: Move[];
}

/** Something that happens in a place. */
export interface Move {
  kind: 'done' | 'failed' | 'timeout' | 'timer' | 'command' | 'event';
  /** For people: `makeDisk fails (STEP_TIMEOUT)`, `pause`. */
  label: string;
  /** The step, timer, command or event. */
  name: string;
  event: { type: string };
  /** Whether the machine takes it. What it does not take changes nothing. */
  taken: boolean;
  to: Place;
}

export interface Exploration {
  subject: Subject;
  places: Place[];
  /** Transitions of the machine's configuration that were made, as the machine holds them. */
  taken: Set<unknown>;
  /** What is wrong with the answers, or with the subject's key. */
  problems: string[];
}

/** How many contexts of one place are tried, to see that they behave alike. */
const CONTEXTS_PER_PLACE = 3;
const AT_MS = 1_000;

/** The moves of a place, each with the key of the place that it leads to. */
type Try = Omit<Move, 'to' | 'taken'> & { commandId?: string };

/** Goes everywhere. */
export function explore(subject: Subject): Exploration {
  const { machine } = subject;
  const result: Exploration = { subject, places: [], taken: new Set(), problems: [] };
  const known = new Map<string, { place: Place; contexts: Set<string> }>();
  const queue: Array<{ place: Place; of: Place }> = [];

  /** The place that a decision leads to. It is gone to later when it is new. */
  const arrive = (
    decision: Decision,
    before: Pick<Place, 'timers' | 'open' | 'way'>,
    label: string,
  ): Place => {
    const place = placeAfter(subject, decision, before, label, result.problems);
    const key = keyOf(subject, place);
    const context = JSON.stringify(place.snapshot.context);
    const there = known.get(key);
    if (!there) {
      known.set(key, { place, contexts: new Set([context]) });
      result.places.push(place);
      queue.push({ place, of: place });
      return place;
    }
    if (there.contexts.size < CONTEXTS_PER_PLACE && !there.contexts.has(context)) {
      there.contexts.add(context);
      queue.push({ place, of: there.place });
    }
    return there.place;
  };

  for (const input of subject.inputs) {
    const first = begin(machine, input);
    const command = (first.snapshot.context as { command: { id: string } | null }).command;
    const open = new Set(command ? [command.id] : []);
    arrive(first, { timers: new Map(), open, way: [] }, 'start');
  }
  for (let next = queue.shift(); next; next = queue.shift()) {
    const { place, of } = next;
    place.moves = triesIn(subject, place).map((one) => {
      const { commandId, ...move } = one;
      const taken = place.snapshot.can(one.event as never);
      const before = {
        way: place.way,
        timers: one.kind === 'timer' ? without(place.timers, one.name) : place.timers,
        open: commandId !== undefined && taken ? new Set([...place.open, commandId]) : place.open,
      };
      if (taken)
        for (const transition of machine.getTransitionData(place.snapshot, one.event as never))
          result.taken.add(transition);
      // As the actor does: what a state does not take is not given to it.
      const decision = taken
        ? decide(machine, place.snapshot, one.event)
        : { snapshot: place.snapshot, effects: [] };
      return { ...move, taken, to: arrive(decision, before, one.label) };
    });
    if (place !== of) result.problems.push(...differences(subject, of, place));
  }
  return result;
}

/** Everything that can happen in a place. */
function triesIn(subject: Subject, { snapshot, timers, open }: Place): Try[] {
  if (snapshot.status === 'done') return [];
  const tries: Try[] = [];
  for (const { invokeId, step } of activeSteps(snapshot)) {
    for (const output of subject.outputs(step)) {
      const event = { atMs: AT_MS, ...stepDone(invokeId, output) };
      tries.push({ kind: 'done', label: `${step} done`, name: step, event });
    }
    for (const code of subject.codes) {
      const kind = code === 'STEP_TIMEOUT' ? 'timeout' : 'failed';
      const error = { code, detail: `${step} failed` };
      const event = { atMs: AT_MS, ...stepFailed(invokeId, error) };
      tries.push({ kind, label: `${step} fails (${code})`, name: step, event });
    }
  }
  for (const [name, event] of timers)
    tries.push({ kind: 'timer', label: `timer ${name}`, name, event: { atMs: AT_MS, ...event } as never });
  for (const [name, bodies] of Object.entries(subject.commands)) {
    // A second one of the same kind, while the first is open, is another command.
    const commandId = [`${name}-1`, `${name}-2`].find((id) => !open.has(id));
    if (commandId === undefined) continue;
    for (const body of bodies) {
      const command = { id: commandId, name, deadlineMs: 2 * AT_MS };
      const event = { type: name, command, body, atMs: AT_MS };
      tries.push({ kind: 'command', label: name, name, event, commandId });
    }
  }
  for (const event of subject.events)
    tries.push({
      kind: 'event',
      label: event.type,
      name: event.type,
      event: { atMs: AT_MS, ...event } as never,
    });
  return tries;
}

/** The place that a decision leads to. Says in `problems` what is wrong with its answers. */
function placeAfter(
  { rest, waiting, name, goals }: Subject,
  { snapshot, effects }: Decision,
  before: Pick<Place, 'timers' | 'open' | 'way'>,
  label: string,
  problems: string[],
): Place {
  const state = stateName(snapshot.value);
  const way = [...before.way, label];
  const open = new Set(before.open);
  for (const { commandId, isSuccess } of answersOf(effects)) {
    const how = way.join(', ');
    if (!open.delete(commandId))
      problems.push(`${name}: ${state} answers ${commandId}, which nobody waits for (${how})`);
    const goal = goals[commandId.replace(/-\d$/, '')];
    if (goal !== undefined && isSuccess !== (state === goal))
      problems.push(`${name}: ${state} answers ${commandId} ${isSuccess ? 'as done' : 'as failed'} (${how})`);
  }
  return {
    state,
    snapshot,
    isRest: rest.includes(state),
    isWaiting: waiting.includes(state),
    isFinal: snapshot.status === 'done',
    timers: timersAfter(before.timers, effects),
    open,
    way,
    moves: [],
  };
}

/** The commands that a decision answers. */
function answersOf(effects: readonly Effect[]): Array<{ commandId: string; isSuccess: boolean }> {
  return effects.flatMap((effect) =>
    effect.kind === 'act' && effect.type === 'answer' && effect.params.commandId
      ? [{ commandId: String(effect.params.commandId), isSuccess: !effect.params.error }]
      : [],
  );
}

/** As `nextRecord` does it, without the times: here every timer that is armed may fire. */
function timersAfter(before: Place['timers'], effects: readonly Effect[]): Map<string, { type: string }> {
  const timers = new Map(before);
  for (const effect of effects) {
    if (effect.kind === 'arm') timers.set(effect.timer, effect.event);
    if (effect.kind === 'disarm') timers.delete(effect.timer);
    if (effect.kind !== 'act') continue;
    const { timer, event } = effect.params;
    if (effect.type === 'arm') timers.set(String(timer), { type: String(event) });
    if (effect.type === 'disarm') timers.delete(String(timer));
  }
  return timers;
}

function without(timers: Place['timers'], name: string): Place['timers'] {
  return new Map([...timers].filter(([other]) => other !== name));
}

function keyOf(subject: Subject, { state, snapshot, timers, open }: Place): string {
  return JSON.stringify([state, subject.key(snapshot.context), [...timers.keys()].sort(), [...open].sort()]);
}

/** What `twin`, which has the key of `place`, does otherwise. */
function differences(subject: Subject, place: Place, twin: Place): string[] {
  const { name } = subject;
  return twin.moves.flatMap(({ label, taken, to }, index) => {
    const other = place.moves[index];
    if (other?.label === label && other.taken === taken && other.to === to) return [];
    return [`${name}: the key of ${place.state} is not enough: ${label} leads to ${to.state} or elsewhere`];
  });
}
