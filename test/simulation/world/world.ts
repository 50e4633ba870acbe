import type { Inspection } from '../../../src/actors/system/inspection.ts';
import type { Clock } from '../../../src/clock.ts';
import { DormouseError } from '../../../src/errors/index.ts';
import type { Frame } from '../../../src/machines/recording.ts';
import type { FaultPlan } from '../faults.ts';
import { PATHS } from '../paths.ts';
import type { Tape } from '../tape.ts';
import { BlockDevices } from './block.ts';
import { FileSystem } from './file-system.ts';
import { Machines } from './machines.ts';
import { here, never, Process } from './process.ts';
import { Slots } from './slots.ts';
import { Time } from './time.ts';

interface Task {
  process: Process;
  label: string;
  resolve(): void;
}

/** What a process loses with an effect that a fault befalls. */
export interface EffectOptions {
  /** Undoes half of what was done: a write that was cut in the middle. */
  tear?: () => void;
  /** The error of an effect that fails. */
  error?: () => Error;
}

/** How many tasks may run before a run counts as one that never ends. */
const TASKS_MAX = 60_000;

/**
 * Everything that is not Dormouse's own code, of one run: the time, the kernel of the host with its files and devices, its
 * virtual machines, and who goes on next. It is all in memory and of one thread; nothing in it happens by itself.
 */
export class World {
  readonly time = new Time();
  readonly files = new FileSystem(() => this.time.clock.nowMs());
  readonly blocks = new BlockDevices(this.files);
  readonly machines: Machines;
  readonly slots = new Slots();
  readonly faults: FaultPlan;
  readonly tape: Tape;
  /** Whoever keeps things going that belong to nobody else: timers of servers, messages on their way. */
  readonly keeper = new Process('world');
  /** What must never be and was. */
  readonly violations: string[] = [];
  /** What happened, one line or one occurrence each; kept only when asked for. */
  readonly frames: Frame[] = [];
  /** Identifies the order in which things happened. */
  traceHash = 0;
  /** Whose the lock of the data directory is. */
  lockHolder: Process | undefined;
  /** Counts the starts of the host's kernel. */
  bootNumber = 1;
  /** The host's processes that live: agents. They die with the power. */
  readonly #onHost = new Set<Process>();
  /** How often each number was written by a guest: a program that was started once must not run twice. */
  readonly writes = new Map<string, number>();
  readonly #tasks: Task[] = [];
  /** Whether the story is kept. */
  readonly tells: boolean;
  #taskCount = 0;
  /** How many of the faults that befell something have their line. */
  #faultsNoted = 0;
  #drawn = 0;
  #moments = 0;

  constructor(tape: Tape, faults: FaultPlan, tells = false) {
    this.tape = tape;
    this.faults = faults;
    this.tells = tells;
    this.machines = new Machines(this);
  }

  get clock(): Clock {
    return this.time.clock;
  }

  /** A guest's program wrote a number. */
  wrote(sandboxId: string, value: number): void {
    const key = `${sandboxId} ${value}`;
    this.writes.set(key, (this.writes.get(key) ?? 0) + 1);
  }

  /** Orders what happens: later moments are larger, also while time stands still. */
  moment(): number {
    this.#moments += 1;
    return this.#moments;
  }

  /** A number for whatever needs chance: the next of a sequence that is the same in every run. */
  drawSeed(): number {
    this.#drawn += 1;
    return Math.imul(this.#drawn, 0x9e3779b1) | 1;
  }

  /** A process of the host, which a power cut ends. */
  hostProcess(name: string): Process {
    const process = new Process(name);
    this.#onHost.add(process);
    process.atDeath(() => this.#onHost.delete(process));
    return process;
  }

  /** The lines of what happened. */
  get story(): string[] {
    return this.frames.flatMap(({ at_ms, text }) =>
      text === undefined ? [] : [`${(at_ms / 1000).toFixed(3).padStart(9)} s  ${text}`],
    );
  }

  /** Says what happened, in the trace of the run. */
  note(line: string): void {
    // FNV-1a, 32 bits.
    for (let at = 0; at < line.length; at += 1)
      this.traceHash = Math.imul(this.traceHash ^ line.charCodeAt(at), 0x01000193);
    // Whatever a fault befalls says so in the line after that.
    const isFault = this.faults.hits.length > this.#faultsNoted;
    this.#faultsNoted = this.faults.hits.length;
    if (this.tells) this.frames.push({ ...this.#now(), text: line, ...(isFault && { mark: 'fault' }) });
  }

  /** Something happened to an actor. */
  inspect(look: () => Inspection): void {
    if (this.tells) this.frames.push({ ...this.#now(), inspection: look() });
  }

  #now(): { at_ms: number } {
    return { at_ms: this.time.monotonicMs };
  }

  /** Something happened that must not. */
  violate(what: string): void {
    this.violations.push(what);
    this.note(`VIOLATION ${what}`);
    const last = this.tells && this.frames.at(-1);
    if (last) last.mark = 'violation';
  }

  /** Waits until it is this caller's turn. */
  turn(label: string): Promise<void> {
    const { process } = here();
    if (process.isDead) return never();
    return new Promise((resolve) => this.#tasks.push({ process, label, resolve }));
  }

  /**
   * An effect of the host's agent: waits for its turn, acts, and suffers the fault that is planned for it. All of it happens
   * at once, or, when the agent dies in it, before or after.
   */
  async effect<T>(label: string, act: () => T, options: EffectOptions = {}): Promise<T> {
    await this.turn(label);
    return await this.suffer(label, act, options);
  }

  /** As `effect`, without waiting for a turn: for effects whose order among others changes nothing. */
  async suffer<T>(label: string, act: () => T, { tear, error = eio }: EffectOptions = {}): Promise<T> {
    const { process, step = 'runtime' } = here();
    if (process.isDead) return never();
    const fault = this.faults.next('effect', label, step);
    if (fault) this.note(`${process.name} ${step}: ${label}: ${fault}`);
    else this.note(`${process.name} ${step}: ${label}`);
    if (fault === 'fails') throw error();
    const result = act();
    if (fault === 'reply lost') throw error();
    if (fault === 'torn') tear?.();
    if (fault === 'agent killed after' || fault === 'torn') process.die();
    if (fault === 'power cut after') this.cutPower();
    return process.isDead ? never() : result;
  }

  /** The host loses power: its processes, machines and devices are gone, and of its files what no disk had. It starts again. */
  cutPower(): void {
    this.note('the power of the host is cut');
    for (const process of [...this.#onHost]) process.die();
    this.machines.losePower(this.files.folder(PATHS.sandboxes).entries);
    this.blocks.losePower();
    this.slots.losePower();
    this.files.losePower(() => this.tape.choose(2) === 1);
    this.bootNumber += 1;
  }

  /**
   * Lets everything go on until `done`, or until `limitMs` of simulated time have passed. Who goes on next is the tape's
   * choice; when nobody can, time moves to the next timer.
   *
   * @returns whether `done` was reached
   */
  async run(done: () => boolean, limitMs: number): Promise<boolean> {
    const end = this.time.monotonicMs + limitMs;
    for (;;) {
      // All that is to be done at once is done before the next macrotask.
      await new Promise(setImmediate);
      if (done()) return true;
      if (this.violations.length > 0) return false;
      const task = this.#nextTask();
      if (task) {
        this.#taskCount += 1;
        if (this.#taskCount > TASKS_MAX) {
          this.violate(`the run does not end: ${TASKS_MAX} tasks, the last was ${task.label}`);
          return false;
        }
        task.resolve();
        continue;
      }
      const nextAtMs = this.time.nextAtMs();
      if (nextAtMs === undefined || nextAtMs > end) return false;
      this.time.advance();
    }
  }

  #nextTask(): Task | undefined {
    for (let at = this.#tasks.length - 1; at >= 0; at -= 1)
      if (this.#tasks[at]?.process.isDead) this.#tasks.splice(at, 1);
    if (this.#tasks.length === 0) return undefined;
    return this.#tasks.splice(this.tape.choose(this.#tasks.length), 1)[0];
  }
}

const eio = (): Error => new DormouseError('STEP_FAILED', 'The simulation made it fail.');

let current: World | undefined;

/** The world of the run that is under way. Runs are one after another. */
export function theWorld(): World {
  if (!current) throw new Error('no run of the simulation is under way');
  return current;
}

export function setWorld(world: World | undefined): void {
  current = world;
}
