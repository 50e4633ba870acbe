import type { Test } from 'tap';
import { type HostLab, passedWhenQuiet } from './host-lab.ts';

/**
 * Lets a host die at every place of an operation. The places are found by watching the operation once, so one that gets
 * another step is covered by itself.
 */

/** A point, and the how-manieth time it is passed in the operation. */
export interface Place {
  point: string;
  nth: number;
}

/** The places that an operation passes, in order, with what it does in the background. `counts`: which points are meant. */
export async function placesOf(
  lab: HostLab,
  run: () => Promise<unknown>,
  counts: (point: string) => boolean = () => true,
): Promise<Place[]> {
  await lab.disarm();
  await run();
  const nth = new Map<string, number>();
  return (await passedWhenQuiet(lab)).filter(counts).map((point) => {
    nth.set(point, (nth.get(point) ?? 0) + 1);
    return { point, nth: nth.get(point) ?? 0 };
  });
}

/**
 * Lets the host die at the place while it carries out the operation, and starts another one.
 *
 * @param missedAfterMs how long the host may go on after the operation before the place counts as missed
 * @returns whether the place was passed. One that this time came before the operation, such as the end of a write in the
 * background, is not passed again; the host is killed after the operation then.
 */
export async function die(
  lab: HostLab,
  place: Place,
  run: () => Promise<unknown>,
  missedAfterMs = 3_000,
): Promise<boolean> {
  await lab.arm({ ...place, action: 'kill' });
  await Promise.race([lab.host().died(), run().catch(() => {})]);
  const passed = await lab.host().diesWithin(missedAfterMs);
  if (!passed) await lab.host().kill();
  await lab.restart();
  return passed;
}

/** Says which places an operation has. */
export function reportPlaces(t: Test, operation: string, places: readonly Place[]): void {
  t.comment(`${operation}: ${places.map(({ point }) => point.replace(/ done$/, '')).join(', ')}`);
}
