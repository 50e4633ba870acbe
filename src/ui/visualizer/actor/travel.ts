import { computed, type ReadonlySignal, signal } from '@preact/signals';
import { type Entries, keyOf } from '../history/entries.ts';

/** Which entry of a history is looked at, and ways to others. */
export interface Travel {
  /** Index of the entry; -1 when there is none. */
  index: ReadonlySignal<number>;
  /** Whether it is the present, whatever that comes to be. */
  isLive: ReadonlySignal<boolean>;
  /** Looks at an entry by its index. */
  goTo(index: number): void;
  goLive(): void;
}

/** Looks at the last entry, until a person looks at another: that one stays, also when entries are found before it. */
export function liveTravel(entries: ReadonlySignal<Entries>): Travel {
  const cursor = signal<string | null>(null);
  const index = computed(() => {
    const key = cursor.value;
    const last = entries.value.length - 1;
    if (key === null) return last;
    const found = entries.value.findIndex((entry) => keyOf(entry) === key);
    return found === -1 ? last : found;
  });
  return {
    index,
    isLive: computed(() => cursor.value === null),
    goTo(to) {
      const all = entries.peek();
      const entry = all[Math.min(Math.max(to, 0), all.length - 1)];
      cursor.value = entry && entry !== all.at(-1) ? keyOf(entry) : null;
    },
    goLive() {
      cursor.value = null;
    },
  };
}
