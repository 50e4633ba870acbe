import type { AnyMachineSnapshot } from 'xstate';
import { DormouseError, type ErrorRecord, mayRetry } from '../../errors/index.ts';
import type { BaseContext } from './actor-options.ts';
import { type Decision, type Effect, stateName } from './decide.ts';
import type { ActorRecord, RememberedReply } from './journal.ts';
import { forget, recordAll, type Step } from './step.ts';

/** Why a transition is made. */
export interface Cause {
  /** A command's name, `step.done`, `step.failed`, or the type of an event of the actor's own. */
  name: string;
  commandId: string | null;
  /** The step that has ended, and what it released. */
  step?: { name: string; durationMs: number; released: readonly string[] };
  error?: ErrorRecord;
  fingerprint?: string;
}

/** What is told of a transition. */
export interface TransitionFacts {
  seq: number;
  atMs: number;
  from: string | null;
  to: string;
  cause: string;
  commandId: string | null;
  step: string | null;
  stepDurationMs: number | null;
  error: ErrorRecord | null;
}

/** One transition, as it is logged, shown and published. */
export interface Transition<Context> extends TransitionFacts {
  record: ActorRecord<Context>;
  snapshot: AnyMachineSnapshot;
}

/** How many answers are remembered for commands that arrive again. */
const REMEMBERED_REPLIES = 32;

/** The record of an actor that has not begun: nothing is journaled, held or answered yet. */
export function emptyRecord<Context>(
  actor: { kind: string; id: string },
  first: Decision,
  nowMs: number,
): ActorRecord<Context> {
  const { value, context } = first.snapshot;
  return {
    v: 1,
    kind: actor.kind,
    id: actor.id,
    seq: 0,
    value,
    context: context as Context,
    enteredAtMs: nowMs,
    timers: {},
    ledger: [],
    outbox: [],
    replies: [],
  };
}

/**
 * The record after a decision: pure, so that what the journal gets can be tested without an actor.
 *
 * @param before the record that the decision was made from
 * @param options.first true for the transition into the machine's first state
 * @returns the next record, still without outbox and replies, the transition, and whether a state was entered
 */
export function nextRecord<Context extends BaseContext>(
  before: ActorRecord<Context>,
  decision: Decision,
  cause: Cause,
  options: { nowMs: number; first: boolean; step(name: string): Step<Context, unknown> },
): { record: ActorRecord<Context>; transition: Transition<Context>; entered: boolean } {
  const { nowMs, first } = options;
  const from = first ? null : stateName(before.value);
  const to = stateName(decision.snapshot.value);
  const entered = from !== to || decision.effects.some((effect) => effect.kind === 'start');
  const acquired = decision.effects.flatMap((effect) =>
    effect.kind === 'start' ? (options.step(effect.step).acquires ?? []) : [],
  );
  const record: ActorRecord<Context> = {
    ...before,
    seq: before.seq + (entered ? 1 : 0),
    value: decision.snapshot.value,
    context: decision.snapshot.context as Context,
    enteredAtMs: entered ? nowMs : before.enteredAtMs,
    timers: timersAfter(before.timers, decision.effects, nowMs),
    ledger: recordAll(forget(before.ledger, cause.step?.released ?? []), acquired, nowMs),
  };
  const transition: Transition<Context> = {
    seq: record.seq,
    atMs: nowMs,
    from,
    to,
    cause: cause.name,
    // The command that is over with this transition is named in the context before it.
    commandId: cause.commandId ?? record.context.command?.id ?? before.context.command?.id ?? null,
    step: cause.step?.name ?? null,
    stepDurationMs: cause.step?.durationMs ?? null,
    error: cause.error ?? null,
    record,
    snapshot: decision.snapshot,
  };
  return { record, transition, entered };
}

/** More transitions than an actor makes between two records that outlive a power cut. */
const POWER_CUT_GAP = 1_000;

/**
 * The record of an actor that was found after a power cut, and the transition that tells of it. What was told after the record
 * was written is not in it; with a number that leaves room for all of that, whoever goes by the numbers takes what comes now.
 */
export function afterPowerCut<Context extends BaseContext>(
  before: ActorRecord<Context>,
  snapshot: AnyMachineSnapshot,
  nowMs: number,
): { record: ActorRecord<Context>; transition: Transition<Context> } {
  const record = { ...before, seq: before.seq + POWER_CUT_GAP };
  const state = stateName(before.value);
  const transition: Transition<Context> = {
    seq: record.seq,
    atMs: nowMs,
    from: state,
    to: state,
    cause: 'power cut',
    commandId: before.context.command?.id ?? null,
    step: null,
    stepDurationMs: null,
    error: null,
    record,
    snapshot,
  };
  return { record, transition };
}

/** An `answer` action of a decision: what the callers get and what is remembered. */
export interface Answer {
  commandId: string;
  remembered: RememberedReply;
  outcome: { value: unknown } | { error: Error };
}

/**
 * @param view what a command that succeeded is answered with
 * @param fingerprintOf the fingerprint of the request that the command came with, if it is known
 */
export function answersOf(
  decision: Decision,
  view: () => unknown,
  fingerprint: (commandId: string) => string | undefined,
): Answer[] {
  return decision.effects.flatMap((effect) => {
    if (effect.kind !== 'act' || effect.type !== 'answer' || !effect.params.commandId) return [];
    const commandId = String(effect.params.commandId);
    const error = effect.params.error as ErrorRecord | null | undefined;
    const reply = error ? { ok: false as const, error } : { ok: true as const, value: view() };
    const outcome = error
      ? { error: DormouseError.fromRecord(error) }
      : { value: (reply as { value: unknown }).value };
    return [
      { commandId, remembered: { commandId, fingerprint: fingerprint(commandId) ?? '', reply }, outcome },
    ];
  });
}

/**
 * The newest answers, as many as are kept. An error that asks for the same request again is none of them: what comes again is
 * done again.
 *
 * @param beginning id of the command that the actor was started with: it cannot be done again
 */
export function remember(
  replies: readonly RememberedReply[],
  answers: readonly Answer[],
  beginning?: string,
): RememberedReply[] {
  const kept = answers.filter(
    ({ commandId, outcome }) => commandId === beginning || !('error' in outcome && mayRetry(outcome.error)),
  );
  return [...replies, ...kept.map(({ remembered }) => remembered)].slice(-REMEMBERED_REPLIES);
}

/** Deadlines after a decision, as absolute times: `after` of the machine, and timers that an action names. */
function timersAfter(
  before: ActorRecord['timers'],
  effects: readonly Effect[],
  nowMs: number,
): ActorRecord['timers'] {
  const timers = { ...before };
  for (const effect of effects) {
    if (effect.kind === 'arm') timers[effect.timer] = { atMs: nowMs + effect.delayMs, event: effect.event };
    if (effect.kind === 'disarm') delete timers[effect.timer];
    if (effect.kind !== 'act') continue;
    const { timer, atMs, event } = effect.params;
    if (effect.type === 'arm') timers[String(timer)] = { atMs: Number(atMs), event: { type: String(event) } };
    if (effect.type === 'disarm') delete timers[String(timer)];
  }
  return timers;
}
