import type { Findings } from './explore.ts';

/** What two parts of an exploration found, as one. */
export function together(a: Findings, b: Findings): Findings {
  const hits = { ...a.hits };
  for (const [key, count] of Object.entries(b.hits)) hits[key] = (hits[key] ?? 0) + count;
  return {
    schedules: a.schedules + b.schedules,
    simulatedMs: a.simulatedMs + b.simulatedMs,
    traces: [...new Set([...a.traces, ...b.traces])],
    hits,
    failures: [...a.failures, ...b.failures],
  };
}
