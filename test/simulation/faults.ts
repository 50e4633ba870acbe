/**
 * The faults that a run can have, by what they happen to. A fault is addressed within its class ("the third step", "the
 * twentieth message"), so that the others of a plan still hit the same place when one is taken away.
 */

/** A step of an actor, as the runtime carries it out. */
export const STEP_FAULTS = [
  'fails',
  /** Its effect is there, and it is reported as failed. */
  'reply lost',
  'hangs',
  /** Its effect is there, and its report never comes. */
  'hangs after',
  'slow',
  'agent killed before',
  'agent killed after',
  'power cut before',
  'power cut after',
  'agent restarted',
  'monitor killed',
  'clock forward',
  'clock back',
] as const;

/** An effect of the host's agent: a write, a command, a call of a monitor, a guest or the network. */
export const EFFECT_FAULTS = [
  'fails',
  'reply lost',
  'agent killed after',
  'torn',
  'power cut after',
] as const;

/** A message on the bus. */
export const MESSAGE_FAULTS = ['lost', 'twice', 'late', 'again later', 'bus away'] as const;

/** An event for the stream. */
export const STREAM_FAULTS = ['refused', 'acknowledgement lost'] as const;

/** A statement for the database. */
export const RECORD_FAULTS = ['refused', 'answer lost', 'database away', 'scheduler killed'] as const;

export const FAULTS = {
  step: STEP_FAULTS,
  effect: EFFECT_FAULTS,
  message: MESSAGE_FAULTS,
  stream: STREAM_FAULTS,
  record: RECORD_FAULTS,
} as const;

export type FaultClass = keyof typeof FAULTS;
export type FaultKind<C extends FaultClass = FaultClass> = (typeof FAULTS)[C][number];

/** Faults that a step cannot have, and why. */
export const IMPOSSIBLE: Readonly<Record<string, readonly FaultKind[]>> = {
  // The watch lasts as long as its machine. What it asks the monitor may fail; those are effects, and it asks again.
  watchVm: ['fails', 'reply lost', 'hangs after'],
  ...Object.fromEntries(
    // Their sandbox has no machine then, and other sandboxes have nothing to do with it.
    [
      'makeDisk',
      'acquireSlot',
      'detachDisk',
      'commitSnapshot',
      'releaseSlot',
      'flushSnapshot',
      'cloneSnapshot',
      'attachDisk',
      'forgetMemory',
      'captureSnapshot',
      'clearWreck',
      'attach',
      'release',
    ].map((step) => [step, ['monitor killed']] as const),
  ),
};

export interface Fault {
  class: FaultClass;
  /** Which one of its class, from 0 on. */
  at: number;
  kind: FaultKind;
}

/** A fault that happened, and to what. */
export interface FaultHit extends Fault {
  /** The step during which it happened, or what else was under way. */
  step: string;
  label: string;
}

/** The faults of one run: counts what can be hit and says what hits it. */
export class FaultPlan {
  readonly hits: FaultHit[] = [];
  /** How many of each class there were. */
  readonly counts: Record<FaultClass, number> = { step: 0, effect: 0, message: 0, stream: 0, record: 0 };
  /** What there was, in order, for a sweep to visit. Only kept when asked for. */
  readonly places: Array<{ class: FaultClass; at: number; label: string; step: string }> = [];
  readonly #planned = new Map<string, FaultKind>();
  readonly #keepsPlaces: boolean;
  #isArmed = false;

  constructor(faults: readonly Fault[], keepsPlaces = false) {
    for (const { class: of, at, kind } of faults) this.#planned.set(`${of} ${at}`, kind);
    this.#keepsPlaces = keepsPlaces;
  }

  /** From now on faults happen; what came before does not count. */
  arm(): void {
    this.#isArmed = true;
  }

  /** Nothing fails from now on. */
  disarm(): void {
    this.#isArmed = false;
  }

  /** The last fault found nothing that it could befall. */
  missed(): void {
    this.hits.pop();
  }

  /** What happens to the next one of the class. */
  next<C extends FaultClass>(of: C, label: string, step: string): FaultKind<C> | undefined {
    if (!this.#isArmed) return undefined;
    const at = this.counts[of]++;
    if (this.#keepsPlaces) this.places.push({ class: of, at, label, step });
    const kind = this.#planned.get(`${of} ${at}`);
    if (kind === undefined) return undefined;
    this.hits.push({ class: of, at, kind, step, label });
    return kind as FaultKind<C>;
  }
}
