import { Inspection } from '../actors/system/inspection.ts';
import type { Clock, Timer } from '../clock.ts';
import { decodeBody } from './envelope.ts';
import { problemsOf } from './schema.ts';
import { inspectSubject, type WatchTarget, watchSubject } from './subjects.ts';
import type { Bus } from './types.ts';

/**
 * How actors are looked at. Whoever looks says so again and again, as long as it looks; a host publishes what happens to an
 * actor only while somebody does. So looking costs nothing when nobody looks, and a viewer that dies is forgotten.
 */

/** How often somebody who looks says so, in milliseconds. */
export const WATCH_RENEW_MS = 5_000;
/** How long a host takes it that somebody still looks, in milliseconds: two notes may be lost. */
export const WATCH_LEASE_MS = 15_000;

const EMPTY = new Uint8Array();

/**
 * Looks at a target until it is closed: what happens from now on to it comes in order, at most once each. Nothing of before
 * comes, and what happens while there is no connection is lost: a gap shows in `seq`.
 *
 * @param onInspection gets what fits the schema; whatever else comes on the subject is dropped
 * @throws `RangeError` for an id of another form
 */
export function watchInspections(
  bus: Pick<Bus, 'publish' | 'subscribe' | 'onStatus'>,
  clock: Pick<Clock, 'after'>,
  target: WatchTarget,
  onInspection: (inspection: Inspection) => void,
): { close(): void } {
  const subject = watchSubject(target);
  let timer: Timer | undefined;
  let isClosed = false;
  // First: what the note leads to must not come before there is somebody to take it.
  const subscription = bus.subscribe(inspectSubject(target), (payload) => {
    const inspection = isClosed ? undefined : inspectionOf(payload);
    if (inspection) onInspection(inspection);
  });
  const renew = (): void => {
    timer?.cancel();
    bus.publish(subject, EMPTY);
    timer = clock.after(WATCH_RENEW_MS, renew);
  };
  renew();
  const forgetStatus = bus.onStatus((status) => {
    if (status === 'connected') renew();
  });
  return {
    close() {
      isClosed = true;
      timer?.cancel();
      forgetStatus();
      subscription.close();
    },
  };
}

function inspectionOf(payload: Uint8Array): Inspection | undefined {
  try {
    const body = decodeBody(payload);
    return problemsOf(Inspection, body).length === 0 ? (body as Inspection) : undefined;
  } catch {
    return undefined;
  }
}
