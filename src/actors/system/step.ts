import type { Logger } from '../../log.ts';

/**
 * A step is the effect of one state: what the machine's `invoke` names and the runtime carries out. Rules:
 *
 * 1. It is idempotent ("make sure that …"): after a crash it is run again from the start.
 * 2. What it acquires is in the ledger before `run` begins; what it releases leaves the ledger after `run` succeeded.
 * 3. A `forward` step stops when the caller goes away; an `undo` step never does, it has only its own time limit.
 * 4. It decides nothing: it reports what happened, and the machine goes on from there.
 */
export interface Step<Input, Output, Ledger extends string = string> {
  /** Spelled the same in the machine, the log, the events and the tests. */
  readonly name: string;
  readonly direction: 'forward' | 'undo';
  /** Time limit, in milliseconds; `Infinity` for a watch that lasts as long as its state. */
  readonly timeoutMs: number;
  /** Kinds of resources that `run` may acquire. */
  readonly acquires?: readonly Ledger[];
  /** Kinds of resources that are gone when `run` has succeeded. */
  readonly releases?: readonly Ledger[];
  run(input: Input, environment: StepEnvironment<Ledger>): Promise<Output>;
}

/** What a step gets beside its input. */
export interface StepEnvironment<Ledger extends string = string> {
  /** Aborts at the step's time limit, when the actor stops, and, for a forward step, when the caller goes away. */
  signal: AbortSignal;
  log: Logger;
  /** What the actor holds, in the order in which it was acquired. */
  ledger: readonly LedgerEntry<Ledger>[];
  /** Takes an entry off the ledger before the step has ended: an undo that releases several keeps what it has done. */
  released(kind: Ledger): Promise<void>;
}

/** One host resource that an actor holds now. */
export interface LedgerEntry<Kind extends string = string> {
  kind: Kind;
  /** When it was recorded, in milliseconds since the epoch: just before it was acquired. */
  sinceMs: number;
}

/** The ledger after `kinds` were recorded: each once, new ones last. */
export function recordAll<Kind extends string>(
  ledger: readonly LedgerEntry<Kind>[],
  kinds: readonly Kind[],
  nowMs: number,
): LedgerEntry<Kind>[] {
  const missing = [...new Set(kinds)].filter((kind) => !ledger.some((entry) => entry.kind === kind));
  return [...ledger, ...missing.map((kind) => ({ kind, sinceMs: nowMs }))];
}

/** The ledger without `kinds`. */
export function forget<Kind extends string>(
  ledger: readonly LedgerEntry<Kind>[],
  kinds: readonly Kind[],
): LedgerEntry<Kind>[] {
  return ledger.filter((entry) => !kinds.includes(entry.kind));
}
