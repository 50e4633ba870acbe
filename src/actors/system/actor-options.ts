import type { AnyMachineSnapshot, AnyStateMachine } from 'xstate';
import type { Occurrence } from './inspect.ts';
import type { ActorRecord, Journal } from './journal.ts';
import type { Transition } from './next-record.ts';
import type { ActorPorts, EventSink } from './ports.ts';
import type { Step } from './step.ts';

/** What every machine's context has: the command that is being carried out. */
export interface BaseContext {
  command: { id: string; name: string; deadlineMs: number } | null;
}

export interface ActorOptions<Context extends BaseContext, Event = never> {
  kind: string;
  id: string;
  machine: AnyStateMachine;
  /** The step behind each `invoke`, by its `src`. */
  steps: Readonly<Record<string, Step<Context, unknown>>>;
  journal: Journal;
  ports: ActorPorts;
  mailboxSize: number;
  /** Names of the commands that the machine takes as events. */
  commands: readonly string[];
  /** What callers say for a command that is not theirs. */
  shownAs?: Readonly<Record<string, readonly string[]>>;
  /** What a command is answered with. */
  view(record: ActorRecord<Context>, snapshot: AnyMachineSnapshot): unknown;
  /** `refuse`: a command that does not fit the state is answered with 409. `wait`: it waits until the state takes it. */
  whenBusy: 'refuse' | 'wait';
  /** The event for the stream, if transitions of this kind are published. */
  event?(transition: Transition<Context>): Event | undefined;
  sink?: EventSink<Event>;
  /** After each transition, once it is in the journal. */
  transitioned?(transition: Transition<Context>): void;
  /** Each transition, once it is in the journal, and each refusal, for those who look on. Does not throw. */
  inspected?(occurrence: Occurrence<Context>): void;
  /** The actor's code threw. Its callers were told; the supervisor stops it and begins it anew, or leaves it stopped. */
  faulted?(error: unknown): void;
}
