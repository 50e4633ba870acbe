import { computed, type ReadonlySignal, signal } from '@preact/signals';
import { age } from './format.ts';

/** The time, as the page shows it: it moves once a second, all ages at the same moment. */

const TICK_MS = 1000;

/** By how much the server's clock is ahead of the browser's, in milliseconds. */
const aheadMs = signal(0);
const browserMs = signal(Date.now());

/** Milliseconds since the epoch, by the server's clock, true to a second. */
export const now: ReadonlySignal<number> = computed(() => browserMs.value + aheadMs.value);

setInterval(() => {
  if (!document.hidden) browserMs.value = Date.now();
}, TICK_MS);

/** Notes what time it is on the server, so that ages are right where clocks differ. */
export function noteServerTime(at: string): void {
  aheadMs.value = Date.parse(at) - Date.now();
}

/** How long ago something was, as a text that keeps up with the time. */
export function ageSince(at: string): ReadonlySignal<string> {
  const atMs = Date.parse(at);
  return computed(() => age(now.value - atMs));
}
