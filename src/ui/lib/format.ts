/** Numbers and times as they are shown. Each form has a largest width, so that columns do not move while values change. */

const MIB = 1024 * 1024;
const BINARY_UNITS = ['KiB', 'MiB', 'GiB', 'TiB', 'PiB'] as const;

/** Bytes with three digits at most: `512 B`, `1.50 GiB`, `20.0 GiB`. */
export function bytes(count: number): string {
  let value = count;
  let unit = 'B';
  for (const next of BINARY_UNITS) {
    if (value < 1000) break;
    value /= 1024;
    unit = next;
  }
  return `${unit === 'B' ? value : threeDigits(value)} ${unit}`;
}

/** MiB, as requests count: `512 MiB`, `20.0 GiB`. */
export function mib(count: number): string {
  return count < 1024 ? `${count} MiB` : bytes(count * MIB);
}

/** How long something took: `850 µs`, `12.3 ms`, `4.56 s`, `3 m 05 s`, `2 h 07 m`, `3 d 04 h`. */
export function duration(ms: number): string {
  if (ms < 1) return `${Math.max(0, Math.round(ms * 1000))} µs`;
  if (ms < 999.5) return `${threeDigits(ms)} ms`;
  if (ms < 59_995) return `${threeDigits(ms / 1000)} s`;
  return twoUnits(ms);
}

/** How long ago something was, to the second: `0 s`, `59 s`, `3 m 05 s`. */
export function age(ms: number): string {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  return seconds < 60 ? `${seconds} s` : twoUnits(seconds * 1000);
}

/** A time of day with milliseconds, local: `14:03:09.127`. */
export function timeOfDay(at: string | Date): string {
  const date = new Date(at);
  const time = [date.getHours(), date.getMinutes(), date.getSeconds()].map(twoDigits).join(':');
  return `${time}.${String(date.getMilliseconds()).padStart(3, '0')}`;
}

/** Day and time, local: `2026-11-26 14:03:09`. */
export function dateTime(at: string | Date): string {
  const date = new Date(at);
  const day = [date.getFullYear(), date.getMonth() + 1, date.getDate()].map(twoDigits).join('-');
  return `${day} ${timeOfDay(date).slice(0, 8)}`;
}

/** A whole number with thin spaces between thousands: `12 345`. */
export function count(value: number): string {
  return String(value).replace(/\B(?=(\d{3})+$)/g, '\u202f');
}

/** One unit and the next smaller one, the smaller with two digits. */
function twoUnits(ms: number): string {
  const seconds = Math.round(ms / 1000);
  const minutes = Math.floor(seconds / 60);
  const hours = Math.floor(minutes / 60);
  if (hours === 0) return `${minutes} m ${twoDigits(seconds % 60)} s`;
  if (hours < 24) return `${hours} h ${twoDigits(minutes % 60)} m`;
  return `${Math.floor(hours / 24)} d ${twoDigits(hours % 24)} h`;
}

function threeDigits(value: number): string {
  if (value < 9.995) return value.toFixed(2);
  return value < 99.95 ? value.toFixed(1) : value.toFixed(0);
}

function twoDigits(value: number): string {
  return String(value).padStart(2, '0');
}
