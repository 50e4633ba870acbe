/** Numbers as people read them, for tables. `--json` has the numbers themselves. */

const SECOND_MS = 1000;
const MINUTE_MS = 60 * SECOND_MS;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;

/** A duration in milliseconds: `0.4 ms`, `312 ms`, `1.25 s`, `3 min 20 s`. */
export function formatDuration(durationMs: number): string {
  if (durationMs < 10) return `${durationMs.toFixed(1)} ms`;
  if (Math.round(durationMs) < SECOND_MS) return `${Math.round(durationMs)} ms`;
  if (durationMs < MINUTE_MS) return `${(durationMs / SECOND_MS).toFixed(2)} s`;
  const seconds = Math.round(durationMs / SECOND_MS);
  return `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
}

/** How long ago `at` (RFC 3339) was, in one unit: `12s`, `5m`, `3h`, `9d`. */
export function formatAge(at: string, nowMs: number): string {
  // The clocks of two machines differ: what lies in the future is new.
  const ageMs = Math.max(0, nowMs - Date.parse(at));
  if (ageMs < MINUTE_MS) return `${Math.floor(ageMs / SECOND_MS)}s`;
  if (ageMs < HOUR_MS) return `${Math.floor(ageMs / MINUTE_MS)}m`;
  if (ageMs < DAY_MS) return `${Math.floor(ageMs / HOUR_MS)}h`;
  return `${Math.floor(ageMs / DAY_MS)}d`;
}

/** Time that is left until `at` (RFC 3339), as `formatAge`; `0s` when it is over, `-` when there is no such time. */
export function formatTimeLeft(at: string | null, nowMs: number): string {
  return at === null ? '-' : formatAge(new Date(nowMs).toISOString(), Date.parse(at));
}

/** A size in MiB: `512 MiB`, `20 GiB`, `1.5 TiB`. */
export function formatMib(mib: number): string {
  for (const [unit, factor] of [
    ['TiB', 1024 * 1024],
    ['GiB', 1024],
  ] as const) {
    if (mib >= factor) return `${Number((mib / factor).toFixed(1))} ${unit}`;
  }
  return `${Math.round(mib)} MiB`;
}

/** A size in bytes: `17 B`, `3.2 KiB`, and on as `formatMib`. */
export function formatBytes(bytes: number): string {
  if (bytes < 1024) return `${bytes} B`;
  if (bytes < 1024 * 1024) return `${Number((bytes / 1024).toFixed(1))} KiB`;
  return formatMib(bytes / 1024 / 1024);
}
