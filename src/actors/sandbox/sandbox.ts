import type { Timer } from '../../clock.ts';
import { DormouseError, hasCode } from '../../errors/index.ts';
import { newCommandId } from '../../ids.ts';
import { Actor } from '../system/actor.ts';
import type { CommandContext } from '../system/command.ts';
import { fingerprintOf } from '../system/fingerprint.ts';
import { fileJournal, type Journal } from '../system/journal.ts';
import type { ActorPorts, EventSink } from '../system/ports.ts';
import type { SandboxContext, SandboxInput } from './context.ts';
import type { SandboxDrivers } from './drivers.ts';
import { guestRequestOf, replyOf } from './exec.ts';
import { sandboxMachine } from './machine.ts';
import type { ExecReply, ExecRequest, SandboxTransition, SandboxView } from './protocol.ts';
import { guestEndpoint } from './steps/greeting.ts';
import { sandboxSteps } from './steps/index.ts';
import { runToken } from './token.ts';
import { eventOf, viewOf } from './view.ts';

/** The commands that are events of the machine. `get` and `exec` are answered beside it. */
export const MACHINE_COMMANDS = ['pause', 'resume', 'restart', 'ping', 'destroy'] as const;
export type MachineCommand = (typeof MACHINE_COMMANDS)[number];

/** How many programs that have ended are remembered by their request; the guest kit keeps no more results. */
const REMEMBERED_EXECS = 128;

export type ExecOutput = (commandId: string, stream: 'stdout' | 'stderr', bytes: Uint8Array) => void;

export interface SandboxOptions {
  drivers: SandboxDrivers;
  ports: ActorPorts;
  mailboxSize: number;
  /** Where transitions are published; internal sandboxes have none. */
  sink?: EventSink<SandboxTransition>;
  journal?: Journal;
  transitioned?(sandbox: Sandbox): void;
  faulted?(sandboxId: string, error: unknown): void;
  /** Gets the bytes of a running exec. */
  output?: ExecOutput;
}

type SandboxActor = Actor<SandboxContext, SandboxTransition>;

/** One sandbox: its actor, and the work that goes on beside its mailbox (programs in the guest). */
export class Sandbox {
  readonly id: string;
  readonly #actor: SandboxActor;
  readonly #options: SandboxOptions;
  /** The programs that run and those that ran last: a command id that comes again must be the same request. */
  readonly #execs = new Map<string, { fingerprint: string; reply: Promise<ExecReply> | undefined }>();

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
        commands: MACHINE_COMMANDS,
        whenBusy: 'refuse',
        view: (record, snapshot) => viewOf(record, allowedIn(snapshot)),
        event: (transition) => eventOf(transition, viewOf(transition.record, allowedIn(transition.snapshot))),
        ...(options.sink && { sink: options.sink }),
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

  /** Carries out a command of the machine. Throws what `Actor.ask` throws. */
  async command(name: MachineCommand, body: unknown, context: CommandContext): Promise<SandboxView> {
    return (await this.#actor.ask(name, body, context)) as SandboxView;
  }

  /**
   * Runs a program in the guest. A pause in between does not end it: when the sandbox runs again, the wait for it goes
   * on, until the caller's deadline. The same command id attaches to the program that it started.
   *
   * @throws `INVALID_REQUEST`, `SANDBOX_WRONG_STATE`, `EXEC_*`, `IDEMPOTENCY_KEY_REUSED`, `DEADLINE_EXCEEDED`
   */
  async exec(body: ExecRequest, context: CommandContext): Promise<ExecReply> {
    const fingerprint = fingerprintOf('exec', body);
    const known = this.#execs.get(context.commandId);
    if (known && known.fingerprint !== fingerprint) {
      throw new DormouseError(
        'IDEMPOTENCY_KEY_REUSED',
        'This key belongs to another request. Use a new key for a new request.',
      );
    }
    if (known?.reply) return await known.reply;
    const reply = this.#exec(body, context);
    const entry = { fingerprint, reply: reply as Promise<ExecReply> | undefined };
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

  async #exec(body: ExecRequest, context: CommandContext): Promise<ExecReply> {
    const request = guestRequestOf(body, context.commandId);
    const { drivers, output } = this.#options;
    const delivered = { stdout: 0, stderr: 0 };
    for (let attached = false; ; attached = true) {
      await this.#serving(attached, context.signal);
      const idle = await this.#active();
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
        if (context.signal.aborted) throw context.signal.reason;
        if (!hasCode(error, 'EXEC_INTERRUPTED') || !this.#mayComeBack()) throw error;
      } finally {
        session.close();
        idle();
      }
    }
  }

  /** Tells the machine that the sandbox is in use, now and again until the function that it returns is called. */
  async #active(): Promise<() => void> {
    const { clock } = this.#options.ports;
    let timer: Timer | undefined;
    let over = false;
    const tell = async (): Promise<void> => {
      await this.#actor.tell({ type: 'exec' });
      const { timeout_s } = this.context.options;
      if (timeout_s > 0 && !over) timer = clock.after(timeout_s * 500, () => void tell());
    };
    await tell();
    return () => {
      over = true;
      timer?.cancel();
    };
  }

  /** Resolves when the guest takes requests. `attached`: the program runs in the guest already, so a pause is waited out. */
  async #serving(attached: boolean, signal: AbortSignal): Promise<void> {
    const actor = this.#actor;
    while (!actor.hasTag('serving')) {
      if (!this.#mayComeBack())
        throw attached
          ? new DormouseError('EXEC_INTERRUPTED', `The sandbox is ${actor.state}: the program is gone.`)
          : actor.wrongState('exec');
      if (!attached && !this.context.options.auto_resume) throw actor.wrongState('exec');
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
    return /^(running|pausing|paused|resuming)/.test(this.#actor.state);
  }
}

function allowedIn(snapshot: {
  can(event: { type: string }): boolean;
  hasTag(tag: string): boolean;
}): string[] {
  const commands = MACHINE_COMMANDS.filter((type) => snapshot.can({ type } as never));
  return snapshot.hasTag('serving') ? ['exec', ...commands] : commands;
}
