import type { Timer } from '../../clock.ts';
import { DormouseError, hasCode } from '../../errors/index.ts';
import { newCommandId } from '../../ids.ts';
import { unlessAborted } from '../../unless-aborted.ts';
import { Actor } from '../system/actor.ts';
import type { ActorOptions } from '../system/actor-options.ts';
import type { CommandContext } from '../system/command.ts';
import { fingerprintOf } from '../system/fingerprint.ts';
import type { Inspector, Occurrence } from '../system/inspect.ts';
import type { Inspection } from '../system/inspection.ts';
import { fileJournal, type Journal } from '../system/journal.ts';
import type { ActorPorts, EventSink } from '../system/ports.ts';
import type { LedgerKind, SandboxContext, SandboxInput } from './context.ts';
import type { SandboxDrivers } from './drivers.ts';
import { guestRequestOf, replyOf } from './exec.ts';
import { sandboxMachine } from './machine.ts';
import { sandboxInspection } from './moment.ts';
import type { ExecReply, ExecRequest, SandboxTransition, SandboxView } from './protocol.ts';
import { guestEndpoint } from './steps/greeting.ts';
import { sandboxSteps } from './steps/index.ts';
import { type Found, spareIn, standingOf, tidyStep } from './tidy.ts';
import { runToken } from './token.ts';
import { eventOf, viewOf } from './view.ts';

/** The commands of callers that are events of the machine. `get` and `exec` are answered beside it. */
export const MACHINE_COMMANDS = ['pause', 'resume', 'restart', 'resize', 'ping', 'destroy'] as const;
/** And the host's own, which what callers know as these begins with. */
const CAPTURE = 'capture';
const SHOWN_AS = { [CAPTURE]: ['snapshot', 'fork'] } as const;
export type MachineCommand = (typeof MACHINE_COMMANDS)[number] | typeof CAPTURE;

/** How many programs that have ended are remembered by their request; the guest kit keeps no more results. */
const REMEMBERED_EXECS = 128;

/** How soon a guest that cut a connection is asked again while the sandbox runs, in milliseconds: twice as long each time. */
const REATTACH_MIN_MS = 50;
const REATTACH_MAX_MS = 1_000;

export type ExecOutput = (commandId: string, stream: 'stdout' | 'stderr', bytes: Uint8Array) => void;

export interface SandboxOptions {
  drivers: SandboxDrivers;
  ports: ActorPorts;
  mailboxSize: number;
  /** Where transitions are published; internal sandboxes have none. */
  sink?: EventSink<SandboxTransition>;
  /** Takes what happens, for those who look on; internal sandboxes have none. */
  inspector?: Inspector;
  journal?: Journal;
  transitioned?(sandbox: Sandbox): void;
  faulted?(sandboxId: string, error: unknown): void;
  /** Gets the bytes of a running exec. */
  output?: ExecOutput;
}

/** A program, for those who wait for it. */
interface Exec {
  fingerprint: string;
  /** While somebody is attached to it, who is the first; others join. */
  reply: Promise<ExecReply> | undefined;
  /** Of the first one. */
  signal: AbortSignal;
  seen: Seen;
}

/** What is known of a program from earlier connections to it. */
interface Seen {
  isBegun: boolean;
  /** Bytes of its output that were passed on. */
  delivered: { stdout: number; stderr: number };
}

type SandboxActor = Actor<SandboxContext, SandboxTransition>;

/** One sandbox: its actor, and the work that goes on beside its mailbox (programs in the guest). */
export class Sandbox {
  readonly id: string;
  readonly #actor: SandboxActor;
  readonly #options: SandboxOptions;
  /** The programs that run and those that ran last: a command id that comes again must be the same request. */
  readonly #execs = new Map<string, Exec>();

  private constructor(id: string, actor: SandboxActor, options: SandboxOptions) {
    this.id = id;
    this.#actor = actor;
    this.#options = options;
  }

  /** Begins a new sandbox, or goes on with the one whose journal is in its folder. The folder must exist. */
  static async start(id: string, input: SandboxInput | undefined, options: SandboxOptions): Promise<Sandbox> {
    let sandbox: Sandbox | undefined;
    const actor: SandboxActor = await Actor.start<SandboxContext, SandboxTransition>(
      {
        kind: 'sandbox',
        id,
        machine: sandboxMachine,
        steps: sandboxSteps(options.drivers),
        journal: options.journal ?? fileJournal(options.drivers.pathsOf(id).journal),
        ports: { ...options.ports, log: options.ports.log.child({ sandbox: id }) },
        mailboxSize: options.mailboxSize,
        commands: [...MACHINE_COMMANDS, CAPTURE],
        shownAs: SHOWN_AS,
        whenBusy: 'refuse',
        view: (record, snapshot) => viewOf(record, allowedIn(snapshot)),
        // Without a stream nobody would ever take the events off the journal.
        ...(options.sink && {
          sink: options.sink,
          event: (transition) =>
            eventOf(transition, viewOf(transition.record, allowedIn(transition.snapshot))),
        }),
        ...inspectedBy(id, options.inspector),
        transitioned: () => sandbox && options.transitioned?.(sandbox),
        faulted: (error) => options.faulted?.(id, error),
      },
      input,
    );
    sandbox = new Sandbox(id, actor, options);
    return sandbox;
  }

  get context(): Readonly<SandboxContext> {
    return this.#actor.context;
  }

  get actor(): SandboxActor {
    return this.#actor;
  }

  view(): SandboxView {
    return this.#actor.view() as SandboxView;
  }

  /** What it is in the middle of and holds now, and what led there. */
  inspection(): Inspection {
    return inspectionIn(this.#actor.present());
  }

  /** Carries out a command of the machine. Throws what `Actor.ask` throws. */
  async command(name: MachineCommand, body: unknown, context: CommandContext): Promise<SandboxView> {
    return (await this.#actor.ask(name, body, context)) as SandboxView;
  }

  /** What the ledger names although the state that the sandbox rests in cannot need it. */
  leftovers(): LedgerKind[] {
    const { ledger } = this.#actor.record;
    return spareIn(this.#actor.state).filter((kind) => ledger.some((entry) => entry.kind === kind));
  }

  /**
   * Gives back what the state that the sandbox rests in cannot need: what the ledger names, and what was seen on the machine. It is
   * done in the actor's turn, so a command that comes meanwhile waits, and ledger and machine stay together.
   *
   * @param strays what is on the machine though the ledger does not name it; of a machine, the very process
   * @returns what was given back; nothing when the sandbox does not rest
   * @throws the first undo's error; what was given back before it is off the ledger
   */
  async tidy(strays: readonly Found[], signal: AbortSignal): Promise<LedgerKind[]> {
    const spare = (): { named: LedgerKind[]; strays: Found[] } => ({
      named: this.leftovers(),
      strays: strays.filter((found) => standingOf(found, this.#actor) === 'spare'),
    });
    const end = await this.#actor.aside(tidyStep(this.#options.drivers, spare), signal);
    if (end?.ok === false) throw DormouseError.fromRecord(end.error);
    return (end?.output ?? []) as LedgerKind[];
  }

  /**
   * Runs a program in the guest. A pause in between does not end it: when the sandbox runs again, the wait for it goes
   * on, until the caller's deadline. The same command id attaches to the program that it started, also for another caller and
   * after a restart of the host; but only as long as the guest kit keeps the program: until five minutes after its end, for the
   * last 128 of them, and not beyond a restart of the sandbox. After that the same command id starts it again.
   *
   * @throws `INVALID_REQUEST`, `SANDBOX_WRONG_STATE`, `EXEC_*`, `IDEMPOTENCY_KEY_REUSED`, `DEADLINE_EXCEEDED`
   */
  async exec(body: ExecRequest, context: CommandContext): Promise<ExecReply> {
    const fingerprint = fingerprintOf('exec', body);
    let seen: Seen = { isBegun: false, delivered: { stdout: 0, stderr: 0 } };
    for (;;) {
      const known = this.#execs.get(context.commandId);
      if (known && known.fingerprint !== fingerprint) {
        throw new DormouseError(
          'IDEMPOTENCY_KEY_REUSED',
          'This key belongs to another request. Use a new key for a new request.',
        );
      }
      if (!known?.reply) break;
      try {
        return await unlessAborted(known.reply, context.signal);
      } catch (error) {
        if (context.signal.aborted) throw context.signal.reason;
        if (!known.signal.aborted) throw error;
        // Only the first one has gone. Whoever of the others comes first attaches in its place.
        known.reply = undefined;
        seen = known.seen;
      }
    }
    const reply = this.#exec(body, context, seen);
    const entry: Exec = { fingerprint, reply, signal: context.signal, seen };
    this.#execs.set(context.commandId, entry);
    try {
      return await reply;
    } finally {
      // The guest kit has the result, and gives it to who asks again.
      entry.reply = undefined;
      this.#forgetExecs();
    }
  }

  /** Keeps the newest of the programs that have ended. */
  #forgetExecs(): void {
    const ended = [...this.#execs].filter(([, { reply }]) => reply === undefined);
    for (const [commandId] of ended.slice(0, -REMEMBERED_EXECS)) this.#execs.delete(commandId);
  }

  async #exec(body: ExecRequest, context: CommandContext, seenBefore: Seen): Promise<ExecReply> {
    const request = guestRequestOf(body, context.commandId, this.context.defaults);
    const { drivers, output, ports } = this.#options;
    const { delivered } = seenBefore;
    let reattachMs = REATTACH_MIN_MS;
    for (;;) {
      await this.#serving(seenBefore.isBegun, context);
      const idle = await this.#active();
      // A command that was before it in the mailbox may have led away. From here to the session, which it would cut, nothing waits.
      if (!this.#actor.hasTag('serving')) {
        idle();
        continue;
      }
      const session = drivers.sessions.open(this.id, context.signal);
      // An attempt that attaches again is given the whole output again: what was passed on already is left out.
      const seen = { stdout: 0, stderr: 0 };
      const pass = (stream: 'stdout' | 'stderr', bytes: Uint8Array): void => {
        const fresh = bytes.subarray(Math.max(0, delivered[stream] - seen[stream]));
        seen[stream] += bytes.length;
        delivered[stream] = Math.max(delivered[stream], seen[stream]);
        if (fresh.length > 0) output?.(context.commandId, stream, fresh);
      };
      try {
        const endpoint = guestEndpoint(this.context, runToken(this.context, this.context.execution));
        return replyOf(await drivers.guest.exec(endpoint, request, session.signal, pass));
      } catch (error) {
        const isCut = hasCode(error, 'EXEC_INTERRUPTED');
        seenBefore.isBegun ||= isCut;
        if (context.signal.aborted) throw context.signal.reason;
        if (!isCut || !this.#mayComeBack()) throw error;
        // A pause that cuts leads away. Where nothing did, the guest hung up, and may do so each time.
        if (this.#actor.hasTag('serving')) {
          await ports.clock.sleep(reattachMs, context.signal);
          reattachMs = Math.min(REATTACH_MAX_MS, reattachMs * 2);
        }
      } finally {
        session.close();
        idle();
      }
    }
  }

  /**
   * Tells the machine that the sandbox is in use, now and again until the function that it returns is called, and whenever a
   * command changes its time.
   */
  async #active(): Promise<() => void> {
    const { clock } = this.#options.ports;
    const over = new AbortController();
    let timer: Timer | undefined;
    let knownS = 0;
    const tell = async (): Promise<void> => {
      await this.#actor.tell({ type: 'exec' });
      timer?.cancel();
      knownS = this.context.options.timeout_s;
      if (knownS > 0 && !over.signal.aborted) timer = clock.after(knownS * 500, again);
    };
    // An actor whose code failed has told its supervisor, and one that has stopped needs nothing more.
    const again = (): void => void tell().catch(() => {});
    const follow = async (): Promise<void> => {
      for (;;) {
        await this.#actor.until(() => this.context.options.timeout_s !== knownS, over.signal);
        await tell();
      }
    };
    await tell();
    follow().catch(() => {});
    return () => {
      over.abort();
      timer?.cancel();
    };
  }

  /** Resolves when the guest takes requests. `attached`: the program runs in the guest already, so a pause is waited out. */
  async #serving(attached: boolean, { commandId, signal }: CommandContext): Promise<void> {
    const actor = this.#actor;
    while (!actor.hasTag('serving')) {
      if (!this.#mayComeBack())
        throw attached
          ? new DormouseError('EXEC_INTERRUPTED', `The sandbox is ${actor.state}: the program is gone.`)
          : actor.refused('exec', commandId);
      // While it is copied it stands still for a moment, of which nobody is to know.
      const isWaiting = attached || actor.hasTag('servingSoon') || this.context.options.auto_resume;
      if (!isWaiting) throw actor.refused('exec', commandId);
      if (!attached && actor.state === 'paused') await this.#resume();
      else {
        const before = actor.state;
        await actor.until(() => actor.state !== before, signal);
      }
    }
  }

  /** Resumes for the sake of an exec. That another one does so at the same time is fine. */
  async #resume(): Promise<void> {
    const { clock } = this.#options.ports;
    const deadlineMs = clock.nowMs() + 120_000;
    try {
      await this.command(
        'resume',
        {},
        { commandId: newCommandId(), deadlineMs, signal: new AbortController().signal },
      );
    } catch (error) {
      if (!hasCode(error, 'SANDBOX_WRONG_STATE')) throw error;
    }
  }

  /** Whether the guest that is there now, or in the snapshot, will take requests again. */
  #mayComeBack(): boolean {
    return /^(running|capturing|pausing|paused|resuming)/.test(this.#actor.state);
  }
}

/** Tells the inspector what happens to a sandbox, if there is one. */
function inspectedBy(
  id: string,
  inspector: Inspector | undefined,
): Pick<ActorOptions<SandboxContext>, 'inspected'> {
  if (!inspector) return {};
  return {
    inspected: (occurrence) => {
      const { teamId } = occurrence.transition.record.context;
      inspector.happened({ kind: 'sandbox', teamId, id }, () => inspectionIn(occurrence));
    },
  };
}

function inspectionIn(occurrence: Occurrence<SandboxContext>): Inspection {
  return sandboxInspection(occurrence, allowedIn(occurrence.transition.snapshot));
}

interface Asked {
  can(event: { type: string }): boolean;
  hasTag(tag: string): boolean;
}

/** What snapshots were found to take: each is asked for its view and for its event, and asking the machine is half of its work. */
const allowedOf = new WeakMap<Asked, string[]>();

function allowedIn(snapshot: Asked): string[] {
  const known = allowedOf.get(snapshot);
  if (known) return known;
  const can = (type: string): boolean => snapshot.can({ type } as never);
  const allowed = [
    ...(snapshot.hasTag('serving') ? ['exec'] : []),
    ...MACHINE_COMMANDS.filter(can),
    ...(can(CAPTURE) ? SHOWN_AS[CAPTURE] : []),
  ];
  allowedOf.set(snapshot, allowed);
  return allowed;
}
