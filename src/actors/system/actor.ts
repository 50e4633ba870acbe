import type { AnyMachineSnapshot } from 'xstate';
import { DormouseError, hasCode, toDormouseError } from '../../errors/index.ts';
import type { ActorOptions, BaseContext } from './actor-options.ts';
import { Callers } from './callers.ts';
import type { CommandContext } from './command.ts';
import { knownAnswer, shownKind, wrongState } from './commands.ts';
import {
  activeSteps,
  begin,
  type Decision,
  decide,
  type Effect,
  restore,
  stateName,
  stepDone,
  stepFailed,
} from './decide.ts';
import { fingerprintOf } from './fingerprint.ts';
import type { Occurrence } from './inspect.ts';
import type { ActorRecord } from './journal.ts';
import { KeptRecord } from './kept-record.ts';
import { Mailbox } from './mailbox.ts';
import {
  afterPowerCut,
  answersOf,
  type Cause,
  emptyRecord,
  nextRecord,
  remember,
  type Transition,
  type TransitionFacts,
} from './next-record.ts';
import { Outbox } from './outbox.ts';
import { runStep, type StepEnd, type StepRun } from './run-step.ts';
import { RunningSteps } from './running-steps.ts';
import type { Step } from './step.ts';
import { Timers } from './timers.ts';
import { logTransition, timerCause } from './transition-log.ts';
import { Turns } from './turns.ts';
import { Watchers } from './watchers.ts';

/** How long an event may wait for those that follow: longer than a pause takes, shorter than a person waits. */
const EVENTS_LINGER_MS = 100;

/** Whether a decision must not be undone by a power cut: its state says so, or what it leads to. */
const isDurable = ({ snapshot, effects }: Decision): boolean =>
  snapshot.hasTag('durable') || effects.some((effect) => effect.kind === 'act' && effect.type === 'durable');

/** For messages that nobody waits for: `#take` has told the supervisor. */
const alreadyTold = (): void => {};

/**
 * The runtime of one actor. The machine decides; this carries out: it journals the next state with all that has to be
 * done, then does it, and feeds what happened back as an event. See ARCHITECTURE.md, "Actors".
 */
export class Actor<Context extends BaseContext, Event = never> {
  readonly id: string;
  readonly #options: ActorOptions<Context, Event>;
  readonly #mailbox: Mailbox;
  readonly #callers: Callers;
  readonly #steps = new RunningSteps();
  readonly #timers: Timers;
  readonly #turns: Turns;
  readonly #kept: KeptRecord<Context>;
  readonly #watchers = new Watchers();
  #snapshot: AnyMachineSnapshot;
  /** The last transition. */
  #last: TransitionFacts;
  #outbox: Outbox<Event> | undefined;
  #stopped = false;

  private constructor(
    options: ActorOptions<Context, Event>,
    record: ActorRecord<Context>,
    snapshot: AnyMachineSnapshot,
  ) {
    this.id = options.id;
    this.#options = options;
    this.#kept = new KeptRecord(record, options.journal, options.ports);
    this.#turns = new Turns(options.mailboxSize);
    this.#snapshot = snapshot;
    this.#last = { ...this.#rest('now'), atMs: record.enteredAtMs, from: null };
    this.#mailbox = new Mailbox(options.mailboxSize);
    this.#timers = new Timers(options.ports.clock);
    this.#callers = new Callers((commandId) => this.#abandon(commandId));
  }

  /**
   * Starts an actor: from its journal if there is one, where it goes on in the state it was in (steps of that state are
   * run again, timers keep their absolute deadlines), else from the machine's first state.
   *
   * @param input for the machine's first context; not used when there is a journal
   */
  static async start<Context extends BaseContext, Event = never>(
    options: ActorOptions<Context, Event>,
    input: unknown,
  ): Promise<Actor<Context, Event>> {
    const found = (await options.journal.load()) as ActorRecord<Context> | undefined;
    if (found) {
      const actor = new Actor(options, found, restore(options.machine, found.value, found.context));
      actor.#openOutbox();
      if (options.journal.isFromEarlierBoot) await actor.#mailbox.postOwn(() => actor.#tellAgain());
      actor.#goOn();
      return actor;
    }
    const first = begin(options.machine, input);
    const empty = emptyRecord<Context>(options, first, options.ports.clock.nowMs());
    const actor = new Actor(options, empty, first.snapshot);
    actor.#openOutbox();
    const command = empty.context.command;
    await actor.#mailbox.postOwn(() =>
      actor.#apply(
        first,
        { name: command?.name ?? 'start', commandId: command?.id ?? null },
        { strict: true, first: true },
      ),
    );
    return actor;
  }

  /** The journaled record. Not to be changed. */
  get record(): Readonly<ActorRecord<Context>> {
    return this.#kept.current;
  }

  get context(): Readonly<Context> {
    return this.record.context;
  }

  /** Dotted name of the state, such as `pausing.snapshotting`. */
  get state(): string {
    return stateName(this.#snapshot.value);
  }

  /** True in a final state. */
  get isDone(): boolean {
    return this.#snapshot.status === 'done';
  }

  hasTag(tag: string): boolean {
    return this.#snapshot.hasTag(tag);
  }

  /** What commands are answered with, now. */
  view(): unknown {
    return this.#options.view(this.record, this.#snapshot);
  }

  /** The commands that the state takes now, as callers know them. */
  allowed(): string[] {
    const { commands, shownAs } = this.#options;
    return commands
      .filter((name) => this.#snapshot.can({ type: name }))
      .flatMap((name) => shownAs?.[name] ?? [name]);
  }

  /** The actor as it is now, and the transition that led there; after a restart, that is not known. */
  present(): Occurrence<Context> {
    return { transition: this.#transition(this.#last), refused: null };
  }

  /**
   * Sends a command and waits for its answer.
   *
   * A command id that was answered before gets the same answer, unless that was to send it again; one that is being carried out
   * joins it. Throws `SANDBOX_WRONG_STATE` with the state and what it takes, `MAILBOX_FULL`, `DEADLINE_EXCEEDED`,
   * `IDEMPOTENCY_KEY_REUSED`, and whatever the machine answers with.
   */
  async ask(name: string, body: unknown, context: CommandContext): Promise<unknown> {
    const fingerprint = fingerprintOf(name, body);
    const known = this.#known(name, fingerprint, context);
    if (known) return await known;
    if (this.#options.whenBusy === 'refuse') return await this.#deliver(name, body, fingerprint, context);
    const takes = (): boolean => this.#snapshot.can({ type: name });
    return await this.#turns.take(async () => {
      for (;;) {
        await this.until(takes, context.signal);
        // Whoever went away while others had their turn wants nothing done any more.
        context.signal.throwIfAborted();
        const { seq } = this.record;
        try {
          return await this.#deliver(name, body, fingerprint, context);
        } catch (error) {
          // An event of the actor's own, such as a timer, was in the mailbox before it: then it waits again.
          if (!hasCode(error, 'SANDBOX_WRONG_STATE') || this.record.seq === seq) throw error;
        }
      }
    });
  }

  /**
   * Waits for the answer to the command that the actor was started with, or one that is known already. Undefined when
   * the actor does not know the command.
   */
  outcome(context: CommandContext): Promise<unknown> | undefined {
    const remembered = this.record.replies.find((reply) => reply.commandId === context.commandId);
    return this.#known(
      undefined,
      remembered?.fingerprint ?? this.#callers.fingerprint(context.commandId) ?? '',
      context,
    );
  }

  /** Sends an event of the actor's own. False when the state does not take it, or the actor has stopped. */
  tell(event: { type: string; [key: string]: unknown }): Promise<boolean> {
    return this.#mailbox.postOwn(async () => {
      if (this.#stopped) return false;
      return await this.#take(event, { name: event.type, commandId: null }, false);
    });
  }

  /**
   * Runs a step beside the machine, which does not hear of it: nothing else is dealt with meanwhile. Undefined, and nothing is
   * run, when the actor is not at rest in its turn.
   */
  aside<Output>(step: Step<Context, Output>, signal: AbortSignal): Promise<StepEnd | undefined> {
    return this.#mailbox.postOwn(async () => {
      if (this.#stopped || !this.hasTag('rest')) return undefined;
      const run = this.#run(step);
      const leave = (): void => run.abort(signal.reason);
      if (signal.aborted) leave();
      else signal.addEventListener('abort', leave, { once: true });
      // So that a stop ends it, too.
      this.#steps.add('aside', run, () => {});
      const end = await run.settled;
      this.#steps.take('aside', run);
      signal.removeEventListener('abort', leave);
      return end;
    });
  }

  /** Resolves when `reached` is true; it is asked now and after each transition. Rejects when `signal` aborts or the actor stops. */
  until(reached: () => boolean, signal: AbortSignal): Promise<void> {
    return this.#watchers.until(() => {
      if (reached()) return true;
      if (this.#stopped) throw this.#letGo({ begun: true });
      return false;
    }, signal);
  }

  /** Resolves when the stream has all events of this actor. */
  async published(signal: AbortSignal): Promise<void> {
    await this.#outbox?.flushed(signal);
  }

  /**
   * Stops the actor where it is. Steps are aborted and what they report is ignored: the journal has what is needed to go
   * on. Waits until nothing is written any more and its steps have ended; one that does not end when it is asked to is given up.
   */
  async stop(): Promise<void> {
    this.#stopped = true;
    const stopping = this.#letGo({ begun: true });
    const ended = this.#steps.abortAll(stopping);
    this.#timers.disarmAll();
    const published = this.#outbox?.finish();
    this.#callers.answerAll(stopping);
    this.#watchers.notify();
    await ended;
    // A transition that is being made is written to its end. After that the journal is the successor's.
    await this.#mailbox.idle();
    await this.#kept.close();
    await published;
  }

  /** The error for who needs an actor that was stopped. `begun`: what was asked for may have been begun, and may go on. */
  #letGo(data?: { begun: true }): DormouseError {
    const kind = shownKind(this.#options.kind);
    return new DormouseError(
      'HOST_DRAINING',
      `The ${kind} is let go of and stays as it is: its host stops, or begins it anew. Send the command again with the same key.`,
      data && { data },
    );
  }

  /** The answer to a command that was seen before. */
  #known(
    name: string | undefined,
    fingerprint: string,
    context: CommandContext,
  ): Promise<unknown> | undefined {
    // Its successor answers it.
    const current = this.context.command;
    if (this.#stopped && current?.id === context.commandId)
      return Promise.reject(this.#letGo({ begun: true }));
    return knownAnswer(this.record, this.#callers, current, name, fingerprint, context);
  }

  /** Puts a command into the mailbox and waits for its answer. */
  #deliver(name: string, body: unknown, fingerprint: string, context: CommandContext): Promise<unknown> {
    return new Promise((resolve, reject) => {
      // The handler ends with the transition, and not before: the next message must find the state that it leads to.
      const handled = this.#mailbox.post(async () => {
        const known = this.#known(name, fingerprint, context);
        if (known) known.then(resolve, reject);
        else await this.#begin(name, body, fingerprint, context, resolve, reject);
      });
      handled.catch((error: unknown) => {
        if (!(error instanceof DormouseError)) this.#fault(error);
        reject(error);
      });
    });
  }

  /** Gives a command to the machine and returns when the transition is made. The answer may come much later. */
  async #begin(
    name: string,
    body: unknown,
    fingerprint: string,
    context: CommandContext,
    resolve: (value: unknown) => void,
    reject: (error: unknown) => void,
  ): Promise<void> {
    const { clock } = this.#options.ports;
    if (this.#stopped) throw this.#letGo();
    if (clock.nowMs() >= context.deadlineMs) {
      throw new DormouseError(
        'DEADLINE_EXCEEDED',
        'The deadline passed before the command was begun. Nothing was done.',
      );
    }
    const command = { id: context.commandId, name, deadlineMs: context.deadlineMs };
    const event = { type: name, command, body, atMs: clock.nowMs() };
    if (!this.#snapshot.can(event)) throw this.refused(name, context.commandId);
    this.#callers.wait(fingerprint, context).then(resolve, reject);
    try {
      await this.#take(event, { name, commandId: command.id, fingerprint }, true);
    } catch (error) {
      this.#callers.answer(command.id, { error: toDormouseError(error) });
    }
  }

  /** Says that the state does not take a command. Returns the error for whoever sent it. */
  refused(name: string, commandId: string): DormouseError {
    const allowed = this.allowed();
    this.#options.ports.log.info({ refused: name, state: this.state, allowed }, 'command refused');
    const asked = this.#options.shownAs?.[name]?.join('" or "') ?? name;
    this.#options.inspected?.({
      transition: this.#transition({ ...this.#rest(name), commandId }),
      refused: this.#options.shownAs?.[name]?.join(' or ') ?? name,
    });
    return wrongState(this.#options.kind, this.state, asked, this.isDone ? null : allowed);
  }

  /**
   * Gives an event to the machine and carries out what it decides. False when the state does not take it. What the actor's code
   * throws is a fault, and is thrown on; a journal that cannot be written is none where it only refuses a command.
   */
  async #take(
    event: { type: string; [key: string]: unknown },
    cause: Cause,
    strict: boolean,
  ): Promise<boolean> {
    const stamped = { atMs: this.#options.ports.clock.nowMs(), ...event };
    try {
      if (!this.#snapshot.can(stamped)) return false;
      await this.#apply(decide(this.#options.machine, this.#snapshot, stamped), cause, {
        strict,
        first: false,
      });
      return true;
    } catch (error) {
      if (!(strict && error instanceof DormouseError)) this.#fault(error);
      throw error;
    }
  }

  /**
   * Journals a decision and carries it out.
   *
   * `strict`: when the journal cannot be written, nothing has happened and the caller is told. Otherwise (a step has
   * ended: there is no way back) the actor goes on with the record in memory and tries to write it until it succeeds.
   * That is safe because steps are idempotent: a successor that begins from the older record repeats them.
   */
  async #apply(
    decision: Decision,
    cause: Cause,
    { strict, first }: { strict: boolean; first: boolean },
  ): Promise<void> {
    const { ports, view } = this.#options;
    const next = nextRecord(this.record, decision, cause, {
      nowMs: ports.clock.nowMs(),
      first,
      step: (name) => this.#step(name),
    });
    const { record, transition, entered } = next;
    const event = entered ? this.#options.event?.(transition) : undefined;
    if (event !== undefined) record.outbox = [...record.outbox, event];
    const answers = answersOf(
      decision,
      () => view(record, decision.snapshot),
      (id) => this.#callers.fingerprint(id) ?? cause.fingerprint,
    );
    record.replies = remember(record.replies, answers, this.#beginning());
    await this.#kept.save(record, { strict, durable: isDurable(decision) });
    if (decision.snapshot.hasTag('rest')) this.#kept.settle();
    this.#snapshot = decision.snapshot;
    if (event !== undefined) this.#outbox?.push(event);
    if (entered) {
      this.#note(transition);
      this.#options.transitioned?.(transition);
    }
    for (const effect of decision.effects) this.#carryOut(effect);
    for (const { commandId, outcome } of answers) this.#callers.answer(commandId, outcome);
    this.#watchers.notify();
  }

  /** Tells everybody of a transition that is in the journal. */
  #note(transition: Transition<Context>): void {
    const { record: _record, snapshot: _snapshot, ...facts } = transition;
    this.#last = facts;
    logTransition(this.#options.ports.log, transition as Transition<unknown>);
    this.#options.inspected?.({ transition, refused: null });
  }

  /** The id of the command that the actor was started with, while it is carried out. */
  #beginning(): string | undefined {
    const { command } = this.context;
    return command && !this.#options.commands.includes(command.name) ? command.id : undefined;
  }

  /** What can be told of the state without a transition. */
  #rest(cause: string): TransitionFacts {
    const { seq, context } = this.record;
    return {
      ...{ seq, atMs: this.#options.ports.clock.nowMs(), from: this.state, to: this.state, cause },
      ...{ commandId: context.command?.id ?? null, step: null, stepDurationMs: null, error: null },
    };
  }

  #transition(facts: TransitionFacts): Transition<Context> {
    return { ...facts, record: this.record, snapshot: this.#snapshot };
  }

  #carryOut(effect: Effect): void {
    switch (effect.kind) {
      case 'stop':
        this.#steps.leave(effect.invokeId, new DormouseError('CANCELLED', 'The state was left.'));
        break;
      case 'start':
        this.#start(effect.invokeId, effect.step);
        break;
      case 'arm':
        this.#arm(effect.timer);
        break;
      case 'disarm':
        this.#timers.disarm(effect.timer);
        break;
      case 'act':
        if (effect.type === 'arm') this.#arm(String(effect.params.timer));
        else if (effect.type === 'disarm') this.#timers.disarm(String(effect.params.timer));
    }
  }

  #start(invokeId: string, name: string): void {
    if (this.#stopped) return;
    const step = this.#step(name);
    const run = this.#run(step);
    this.#steps.add(invokeId, run, (end) => {
      const dealtWith = this.#mailbox.postOwn(() => this.#ended(invokeId, step, run, end));
      dealtWith.catch(alreadyTold);
    });
    const commandId = this.context.command?.id;
    if (step.direction === 'forward' && commandId && this.#callers.isAbandoned(commandId)) {
      run.abort(this.#callers.reason(commandId));
    }
  }

  #run(step: Step<Context, unknown>): StepRun {
    return runStep(step, this.context as Context, {
      ports: this.#options.ports,
      ledger: this.record.ledger,
      released: (kind) => this.#kept.release(kind),
    });
  }

  /** Tells the machine how a step ended. */
  async #ended(invokeId: string, step: Step<Context, unknown>, run: StepRun, end: StepEnd): Promise<void> {
    if (this.#stopped || !this.#steps.take(invokeId, run)) return;
    const ended = {
      name: step.name,
      durationMs: end.durationMs,
      released: end.ok ? (step.releases ?? []) : [],
    };
    if (end.ok) {
      await this.#take(
        stepDone(invokeId, end.output),
        { name: 'step.done', commandId: null, step: ended },
        false,
      );
      return;
    }
    const cause: Cause = { name: 'step.failed', commandId: null, step: ended, error: end.error };
    if (!(await this.#take(stepFailed(invokeId, end.error), cause, false))) {
      this.#options.ports.log.warn(
        { step: step.name, error: end.error, state: this.state },
        'a step failed that the state does not depend on',
      );
    }
  }

  #arm(timer: string): void {
    const armed = this.record.timers[timer];
    if (!armed || this.#stopped) return;
    this.#timers.arm(timer, armed.atMs, () => {
      const fired = this.#mailbox.postOwn(async () => {
        // It may have been armed anew or disarmed while this message waited.
        if (this.#stopped || this.record.timers[timer]?.atMs !== armed.atMs) return;
        this.#kept.fired(timer);
        await this.#take(armed.event, { name: timerCause(timer), commandId: null }, false);
      });
      fired.catch(alreadyTold);
    });
  }

  /** The host lost power since the record was written: what was told after that is not in it, so the state is told anew. */
  async #tellAgain(): Promise<void> {
    const { ports, event: eventOf } = this.#options;
    const { record, transition } = afterPowerCut(this.record, this.#snapshot, ports.clock.nowMs());
    const event = eventOf?.(transition);
    if (event !== undefined) record.outbox = [...record.outbox, event];
    await this.#kept.save(record, { strict: false, durable: true });
    if (event !== undefined) this.#outbox?.push(event);
    this.#note(transition);
  }

  /** Starts again what a restored state needs. */
  #goOn(): void {
    for (const timer of Object.keys(this.record.timers)) this.#arm(timer);
    for (const { invokeId, step } of activeSteps(this.#snapshot)) this.#start(invokeId, step);
  }

  #openOutbox(): void {
    const { sink, ports } = this.#options;
    if (!sink) return;
    const waiting = this.record.outbox as Event[];
    const acknowledged = (event: Event): void => this.#kept.published(event);
    this.#outbox = new Outbox<Event>(sink, waiting, ports, acknowledged, EVENTS_LINGER_MS);
  }

  #abandon(commandId: string): void {
    if (this.context.command?.id !== commandId) return;
    this.#steps.abortForward(this.#callers.reason(commandId));
  }

  #fault(error: unknown): void {
    this.#options.ports.log.error({ err: error, state: this.state }, "the actor's code failed");
    this.#callers.answerAll(
      toDormouseError(error, 'INTERNAL', 'The actor failed. It is started again from its journal.'),
    );
    this.#options.faulted?.(error);
  }

  #step(name: string): Step<Context, unknown> {
    const step = this.#options.steps[name];
    if (!step) throw new Error(`the machine invokes ${name}, which is no step of ${this.#options.kind}`);
    return step;
  }
}
