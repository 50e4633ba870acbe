import type { ErrorRecord } from '../../errors/index.ts';
import type { BaseContext } from './actor-options.ts';
import type { ActorKind, Inspection, Moment } from './inspection.ts';
import type { ActorRecord } from './journal.ts';
import type { Transition, TransitionFacts } from './next-record.ts';

/** What actors tell those who look at them, and how it is made when somebody does. */

/** Something that happened to an actor. For a refusal, the transition leads from the state to itself and names the command as its cause. */
export interface Occurrence<Context> {
  transition: Transition<Context>;
  /** The command that was refused; null for a transition. */
  refused: string | null;
}

/** Whose occurrence it is. */
export type Inspected =
  | { kind: 'sandbox'; teamId: string; id: string }
  | { kind: Exclude<ActorKind, 'sandbox'>; hostId: string };

/** Takes what happens to the actors of a host. Never throws: actors go on whoever looks. */
export interface Inspector {
  /** @param look makes what is shown, which costs something: it is called only when somebody looks */
  happened(actor: Inspected, look: () => Inspection): void;
}

/**
 * What of a context may be shown: for each field the fields that are shown of it, or null when it is withheld. A field that is
 * new in the context does not compile without an entry, so that nothing is shown by default.
 */
export type Showing<Context> = {
  readonly [Field in keyof Required<Context>]:
    | ((value: Required<Context>[Field]) => Readonly<Record<string, unknown>>)
    | null;
};

/** @param context may lack fields, as those of old journals do */
function shownContext<Context extends object>(
  context: Context,
  showing: Showing<Context>,
): Record<string, unknown> {
  const shown: Record<string, unknown> = {};
  for (const field of Object.keys(showing) as Array<keyof Context>) {
    const value = context[field];
    if (value !== undefined)
      Object.assign(shown, showing[field]?.(value as Required<Context>[keyof Context]));
  }
  return shown;
}

/** What the actor was in the middle of and held when the record was written. */
export function momentOf<Context extends object>(
  record: ActorRecord<Context>,
  showing: Showing<Context>,
): Moment {
  return {
    context: shownContext(record.context, showing),
    ledger: record.ledger.map(({ kind, sinceMs }) => ({ kind, since: shownTime(sinceMs) })),
    timers: Object.entries(record.timers)
      // One that is armed for later than that is armed for never.
      .filter(([, { atMs }]) => atMs <= LAST_MS)
      .map(([timer, { atMs }]) => ({ name: timerName(timer), at: shownTime(atMs) })),
  };
}

/** What is told of a transition, whoever made it. */
export function factsOf({
  seq,
  atMs,
  from,
  to,
  cause,
  commandId,
  step,
  stepDurationMs,
  error,
}: TransitionFacts): Pick<
  Inspection,
  'seq' | 'at' | 'from' | 'to' | 'cause' | 'command_id' | 'step' | 'step_duration_ms' | 'error'
> {
  return {
    seq,
    at: shownTime(atMs),
    from,
    to,
    cause,
    command_id: commandId,
    step,
    step_duration_ms: stepDurationMs,
    error: error && shownError(error),
  };
}

/** Of whom an inspection is, and what the actor's kind knows of it. */
type Inspectee = Pick<Inspection, 'kind' | 'id' | 'team_id' | 'host_id' | 'execution' | 'allowed'>;

/** An occurrence as it is shown. */
export function inspectionOf<Context extends BaseContext>(
  { transition, refused }: Occurrence<Context>,
  inspectee: Inspectee,
  showing: Showing<Context>,
): Inspection {
  return {
    v: 1,
    ...inspectee,
    ...factsOf(transition),
    refused,
    moment: momentOf(transition.record, showing),
  };
}

/** An error as it is shown: without the data, which is for programs. */
export function shownError({ code, detail, causes }: ErrorRecord): NonNullable<Inspection['error']> {
  return { code, detail, ...(causes && { causes }) };
}

export function shownCommand(command: BaseContext['command']): Readonly<Record<string, unknown>> {
  return {
    command: command && { name: command.name, id: command.id, deadline: shownTime(command.deadlineMs) },
  };
}

/** The commands that a state takes. For machines whose callers know them by the machine's own names. */
export function takenBy(
  snapshot: { can(event: { type: string }): boolean },
  commands: readonly string[],
): string[] {
  return commands.filter((type) => snapshot.can({ type }));
}

/** The last moment that RFC 3339 can write, in milliseconds since the epoch. */
const LAST_MS = Date.UTC(9999, 11, 31, 23, 59, 59, 999);

/** A time as it is shown. Deadlines come from callers, and may be later than can be written. */
export function shownTime(atMs: number): string {
  return new Date(Math.min(atMs, LAST_MS)).toISOString();
}

/** XState calls a timer `xstate.after.<delay>.<machine and state>`. */
function timerName(timer: string): string {
  return /^xstate\.after\.([^.]+)\./.exec(timer)?.[1] ?? timer;
}
