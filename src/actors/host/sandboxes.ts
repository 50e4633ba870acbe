import { readdir, rm } from 'node:fs/promises';
import { within } from '../../clock.ts';
import { makeFolder } from '../../durable-file.ts';
import { DormouseError, messageOf } from '../../errors/index.ts';
import { isSandboxId, PLATFORM_TEAM_ID } from '../../ids.ts';
import type { SandboxInput } from '../sandbox/context.ts';
import type { SandboxDrivers } from '../sandbox/drivers.ts';
import type { SandboxTransition } from '../sandbox/protocol.ts';
import { type ExecOutput, Sandbox } from '../sandbox/sandbox.ts';
import type { Inspector } from '../system/inspect.ts';
import { fileJournal } from '../system/journal.ts';
import type { ActorPorts, EventSink } from '../system/ports.ts';
import { EndedSandboxes } from './ended.ts';
import { journalOf } from './reconcile.ts';

export interface SandboxesOptions {
  /** Folder that holds one folder for each sandbox. */
  root: string;
  drivers: SandboxDrivers;
  ports: ActorPorts;
  mailboxSize: number;
  sink: EventSink<SandboxTransition>;
  output: ExecOutput;
  /** Takes what happens to sandboxes that callers may speak to. */
  inspector?: Inspector;
  /** A sandbox that callers may speak to has come, or gone. Internal ones are not reported. */
  appeared(sandbox: Sandbox): void;
  vanished(sandbox: Sandbox): void;
  /** A sandbox has come to rest, or has ended: what the host uses may be another now. */
  settled(sandbox: Sandbox): void;
}

/** What an earlier agent left, in numbers of sandboxes, and of events that the stream had not acknowledged. */
export interface Adopted {
  /** At rest, and gone on with as they were. */
  adopted: number;
  /** In the midst of an operation, which goes on. */
  resumedSteps: number;
  /** In the midst of an undo, which goes on. */
  undone: number;
  stranded: number;
  /** Left as they are. */
  unreadable: number;
  republished: number;
}

/** How long what could not be destroyed or removed is left alone before the next try, in milliseconds. */
const TRY_AGAIN_MS = 5_000;
/** How often in a minute an actor whose code fails is started again. */
const RESTARTS_PER_MINUTE = 5;
/** How long an operation under way may take when the host lets go of its sandboxes, in milliseconds. */
const LET_GO_MS = 10_000;

/** The sandboxes of a host: started, adopted, supervised, and removed when they have ended. */
export class Sandboxes {
  readonly #options: SandboxesOptions;
  readonly #active = new Map<string, Promise<Sandbox>>();
  readonly #ready = new Map<string, Sandbox>();
  /** Ids of which nothing may be begun yet: what is left of an earlier one is being removed. */
  readonly #clearing = new Map<string, Promise<void>>();
  readonly #ended: EndedSandboxes;
  readonly #faults = new Map<string, number[]>();
  readonly #work = new Set<Promise<unknown>>();
  readonly #stopping = new AbortController();

  constructor(options: SandboxesOptions) {
    this.#options = options;
    this.#ended = new EndedSandboxes(options.ports.clock);
  }

  /** All sandboxes that are kept here, internal ones too. */
  all(): Sandbox[] {
    return [...this.#ready.values()];
  }

  get(id: string): Promise<Sandbox> | undefined {
    return this.#active.get(id);
  }

  /** @throws what became of a sandbox of this id that ended a while ago */
  checkNew(id: string): void {
    this.#ended.check(id);
  }

  /** Who keeps the sandbox: its actor; somebody who begins, ends or clears it right now; nobody. */
  keeperOf(id: string): Sandbox | 'under way' | undefined {
    return this.#ready.get(id) ?? (this.#active.has(id) || this.#clearing.has(id) ? 'under way' : undefined);
  }

  /**
   * Runs `work` while there is no sandbox of this id and none can be begun: one that is asked for waits until the work has ended.
   * Undefined, and nothing is run, when there is one, or somebody does the same.
   */
  whileAbsent<T>(id: string, work: () => Promise<T>): Promise<T> | undefined {
    if (this.keeperOf(id) !== undefined) return undefined;
    const done = work().finally(() => this.#clearing.delete(id));
    const settled = done.then(
      () => {},
      () => {},
    );
    this.#clearing.set(id, settled);
    return done;
  }

  /** Ids of sandboxes whose ledger in the folder names a network slot: those slots must be kept. */
  async slotHolders(): Promise<Set<string>> {
    const holders = new Set<string>();
    for (const id of await this.#onDisk()) {
      const held = await fileJournal(this.#options.drivers.pathsOf(id).journal)
        .load()
        .then(
          (record) => record?.ledger.some((entry) => entry.kind === 'slot') ?? false,
          // A journal that cannot be read may name one, and its virtual machine may run in it.
          () => true,
        );
      if (held) holders.add(id);
    }
    return holders;
  }

  /**
   * Begins a new sandbox; it is on its way when this returns. Nothing is left when that fails.
   *
   * @throws `INTERNAL` when its folder is there with a journal that cannot be read; the folder is left as it is
   */
  create(input: SandboxInput): Promise<Sandbox> {
    const { root, journal } = this.#options.drivers.pathsOf(input.id);
    const started = (async () => {
      await this.#clearing.get(input.id);
      const before = await journalOf(journal);
      try {
        if (before === 'unreadable')
          throw new DormouseError('INTERNAL', `The journal of ${input.id} is there and cannot be read.`);
        await makeFolder(root);
        return await this.#start(input.id, input);
      } catch (error) {
        // What was there before belongs to a sandbox.
        if (before === 'none') await rm(root, { recursive: true, force: true }).catch(() => {});
        // Last: whoever asks after this begins anew, in a folder that nobody removes.
        this.#active.delete(input.id);
        throw error;
      }
    })();
    this.#active.set(input.id, started);
    return started;
  }

  /** Takes over what an earlier agent left: every sandbox goes on in the state of its journal. Says what was found. */
  async adopt(): Promise<Adopted> {
    const report = { adopted: 0, resumedSteps: 0, undone: 0, stranded: 0, unreadable: 0, republished: 0 };
    for (const id of await this.#onDisk()) {
      try {
        const { journal } = this.#options.drivers.pathsOf(id);
        const waiting = (await fileJournal(journal).load())?.outbox.length ?? 0;
        const started = this.#start(id, undefined);
        this.#active.set(id, started);
        const sandbox = await started;
        if (sandbox.context.teamId !== PLATFORM_TEAM_ID) report.republished += waiting;
        const { state } = sandbox.actor;
        if (state === 'stranded') report.stranded += 1;
        else if (state === 'undoing' || state.endsWith('rollingBack') || state === 'destroying')
          report.undone += 1;
        else if (!sandbox.actor.hasTag('rest')) report.resumedSteps += 1;
        else report.adopted += 1;
      } catch (error) {
        this.#active.delete(id);
        report.unreadable += 1;
        this.#options.ports.log.error(
          { sandbox: id, err: messageOf(error) },
          'the journal cannot be read; the folder is left as it is',
        );
      }
    }
    return report;
  }

  /** Lets go of all sandboxes; they stay as they are. Operations under way may end first. */
  async stop(): Promise<void> {
    await within(this.#options.ports.clock, LET_GO_MS, (soon) =>
      Promise.allSettled(
        this.all().map((sandbox) =>
          sandbox.actor.until(() => sandbox.actor.hasTag('rest') || sandbox.actor.isDone, soon),
        ),
      ),
    );
    this.#stopping.abort(new DormouseError('HOST_DRAINING', 'The host stops.'));
    await Promise.all(this.all().map((sandbox) => sandbox.actor.stop()));
    await Promise.allSettled([...this.#work]);
  }

  /**
   * Destroys a sandbox that only the host has a use for, whatever becomes of it. What it is in the middle of comes to its end
   * first, because no state takes a command in the middle of a step. Resolves when it has ended; rejects when the host stops.
   */
  async discard(sandbox: Sandbox): Promise<void> {
    const { clock, log } = this.#options.ports;
    const { actor } = sandbox;
    for (;;) {
      await actor.until(() => actor.hasTag('rest') || actor.isDone, this.#stopping.signal);
      if (actor.isDone) return;
      try {
        await sandbox.command('destroy', {}, neverMind(this.#options.ports));
      } catch (error) {
        log.warn({ sandbox: sandbox.id, err: messageOf(error) }, 'it cannot be destroyed yet; trying again');
        await clock.sleep(TRY_AGAIN_MS, this.#stopping.signal);
      }
    }
  }

  async #start(id: string, input: SandboxInput | undefined): Promise<Sandbox> {
    const { drivers, ports, mailboxSize, sink, output, inspector } = this.#options;
    // A warm machine in the making belongs to the platform; it is nobody's sandbox, and nobody is told of it.
    let internal = input?.teamId === PLATFORM_TEAM_ID;
    if (!input)
      internal =
        ((await fileJournal(drivers.pathsOf(id).journal).load())?.context as SandboxInput | undefined)
          ?.teamId === PLATFORM_TEAM_ID;
    let hasFailed = false;
    const sandbox = await Sandbox.start(id, input, {
      drivers,
      ports,
      mailboxSize,
      output,
      ...(!internal && { sink, ...(inspector && { inspector }) }),
      transitioned: (which) => {
        if (which.actor.isDone) this.#background(this.#remove(which, internal));
        if (which.actor.isDone || which.actor.hasTag('rest')) this.#options.settled(which);
      },
      faulted: (which, error) => {
        if (!hasFailed) this.#restart(which, error);
        hasFailed = true;
      },
    });
    this.#ready.set(id, sandbox);
    if (!internal) this.#options.appeared(sandbox);
    // The machine may have ended before anybody could be told, or in an earlier life.
    if (sandbox.actor.isDone) this.#background(this.#remove(sandbox, internal));
    else if (internal && !input) this.#background(this.discard(sandbox));
    return sandbox;
  }

  /** Forgets a sandbox that has ended, once the stream knows of it. */
  async #remove(sandbox: Sandbox, internal: boolean): Promise<void> {
    if (this.#ready.get(sandbox.id) !== sandbox) return;
    await sandbox.actor.published(this.#stopping.signal);
    if (this.#ready.get(sandbox.id) !== sandbox) return;
    this.#ready.delete(sandbox.id);
    const { state, context } = sandbox.actor;
    this.#ended.add(sandbox.id, state === 'failed' ? context.lastError : null);
    try {
      await sandbox.actor.stop();
      await this.#removeFolder(sandbox.id);
    } finally {
      // Not earlier: one of the same id that is asked for meanwhile would be made in a folder that is about to go.
      this.#active.delete(sandbox.id);
      // Also when the folder stays, which the janitor removes: nobody must be answered by an actor that has ended.
      if (!internal) this.#options.vanished(sandbox);
    }
  }

  /** Removes the folder of a sandbox that has ended, however long that takes. Rejects when the host stops: the next one does it then. */
  async #removeFolder(id: string): Promise<void> {
    const { clock, log } = this.#options.ports;
    const { root } = this.#options.drivers.pathsOf(id);
    for (;;) {
      try {
        return await rm(root, { recursive: true, force: true });
      } catch (error) {
        log.warn({ sandbox: id, err: messageOf(error) }, 'its folder cannot be removed yet; trying again');
        await clock.sleep(TRY_AGAIN_MS, this.#stopping.signal);
      }
    }
  }

  /** An actor whose code failed begins again from its journal; the others never notice. Who asks for it meanwhile waits. */
  #restart(id: string, error: unknown): void {
    const again = this.#startAgain(id, this.#active.get(id), error);
    // At once: whoever found nobody would start an actor beside the one that is about to be.
    this.#active.set(id, again);
    again.catch(() => {
      if (this.#active.get(id) === again) this.#active.delete(id);
    });
    this.#background(again);
  }

  /** @param before the actor that failed, which may still be on its way. Throws when it is left stopped, or the host stops. */
  async #startAgain(id: string, before: Promise<Sandbox> | undefined, error: unknown): Promise<Sandbox> {
    const { clock } = this.#options.ports;
    const recent = [
      ...(this.#faults.get(id) ?? []).filter((at) => at > clock.nowMs() - 60_000),
      clock.nowMs(),
    ];
    this.#faults.set(id, recent);
    const old = await before?.catch(() => undefined);
    if (old && this.#ready.get(id) === old) {
      this.#ready.delete(id);
      this.#options.vanished(old);
    }
    await old?.actor.stop();
    if (recent.length > RESTARTS_PER_MINUTE)
      throw new DormouseError(
        'INTERNAL',
        `The actor of ${id} failed ${recent.length} times in a minute and is left stopped; its folder and virtual machine stay.`,
        { cause: error },
      );
    await clock.sleep(100 * 2 ** recent.length, this.#stopping.signal);
    const sandbox = await this.#start(id, undefined);
    // Whoever lets go has looked for actors already.
    if (this.#stopping.signal.aborted) await sandbox.actor.stop();
    return sandbox;
  }

  #background(work: Promise<unknown>): void {
    const guarded = work.catch((error: unknown) => {
      if (!this.#stopping.signal.aborted)
        this.#options.ports.log.error({ err: messageOf(error) }, 'supervision failed');
    });
    this.#work.add(guarded);
    void guarded.finally(() => this.#work.delete(guarded));
  }

  async #onDisk(): Promise<string[]> {
    return (await readdir(this.#options.root).catch(() => [])).filter(isSandboxId);
  }
}

/** The context of a command that the host sends by itself. */
export function neverMind({ clock }: ActorPorts): {
  commandId: string;
  deadlineMs: number;
  signal: AbortSignal;
} {
  return {
    commandId: `host-${clock.nowMs()}-${Math.trunc(clock.monotonicMs() * 1000)}`,
    deadlineMs: clock.nowMs() + 120_000,
    signal: new AbortController().signal,
  };
}
