import type { Row } from './rows.ts';

/** How long an actor was in a state, each time that it left it. In milliseconds. */
interface Times {
  count: number;
  median: number;
  longest: number;
}

export function timesIn(rows: readonly Row[], state: string): Times {
  const times = rows
    .filter(({ entry, spentMs }) => spentMs !== null && entry.from === state)
    .map(({ spentMs }) => spentMs ?? 0)
    .sort((a, b) => a - b);
  return {
    count: times.length,
    median: times[Math.floor((times.length - 1) / 2)] ?? 0,
    longest: times.at(-1) ?? 0,
  };
}
