/**
 * What is measured: the steps of a sandbox's life, in milliseconds as the caller sees them. `createToExec` and
 * `resumeToExec` begin with the create or the resume and end with the answer to the first exec after it.
 */
export const MEASURES = {
  create: 'create (warm)',
  createToExec: 'create (warm) to first exec answered',
  createCold: 'create (cold)',
  exec: 'exec of `true`',
  pause: 'pause',
  resume: 'resume',
  resumeToExec: 'resume to first exec answered',
  destroy: 'destroy',
} as const;
export type Measure = keyof typeof MEASURES;

/** The program that is run to measure an exec. */
export const TRUE = ['/bin/sh', '-c', 'true'] as const;

/** One sandbox, driven one way or the other. */
export interface Life {
  exec(argv: readonly string[]): Promise<void>;
  pause(): Promise<void>;
  /** Resolves when what the pause left in the page cache is on the disk. Not part of any measure. */
  flushed(): Promise<void>;
  resume(): Promise<void>;
  destroy(): Promise<void>;
}

/** One of the two ways to live: through Dormouse, or bare. */
export interface Way {
  readonly name: 'dormouse' | 'bare';
  /** What can be made ahead of time for a guest of that memory is made. Not part of any measure. */
  prepare(memoryMb: number): Promise<void>;
  /** Resolves when the sandbox's guest has answered. */
  create(options: { memoryMb: number; cold: boolean }): Promise<Life>;
}

/** Called with each duration as it is known. */
export type Measured = (measure: Measure, ms: number) => void;

/** Runs `operation` and says how long it took, in milliseconds. */
export async function timed<T>(operation: () => Promise<T>): Promise<{ value: T; ms: number }> {
  const startedMs = performance.now();
  const value = await operation();
  return { value, ms: performance.now() - startedMs };
}

/**
 * One whole life of a sandbox that starts from a saved machine.
 *
 * @param settle awaited before each step that is measured: what the step before it left to be done in the background
 * must not be counted
 */
export async function liveWarm(
  way: Way,
  memoryMb: number,
  settle: () => Promise<void>,
  measured: Measured,
): Promise<void> {
  await way.prepare(memoryMb);
  await settle();
  const create = await timed(() => way.create({ memoryMb, cold: false }));
  const life = create.value;
  try {
    const afterCreate = await timed(() => life.exec(TRUE));
    measured('create', create.ms);
    measured('createToExec', create.ms + afterCreate.ms);
    await settle();
    measured('exec', (await timed(() => life.exec(TRUE))).ms);
    await settle();
    measured('pause', (await timed(() => life.pause())).ms);
    await life.flushed();
    await way.prepare(memoryMb);
    await settle();
    const resume = await timed(() => life.resume());
    const afterResume = await timed(() => life.exec(TRUE));
    measured('resume', resume.ms);
    measured('resumeToExec', resume.ms + afterResume.ms);
    await settle();
  } catch (error) {
    await life.destroy().catch(() => {});
    throw error;
  }
  measured('destroy', (await timed(() => life.destroy())).ms);
}

/** A create that boots, and the end of what it made. */
export async function liveCold(
  way: Way,
  memoryMb: number,
  settle: () => Promise<void>,
  measured: Measured,
): Promise<void> {
  await way.prepare(memoryMb);
  await settle();
  const { value: life, ms } = await timed(() => way.create({ memoryMb, cold: true }));
  measured('createCold', ms);
  await life.destroy();
}
