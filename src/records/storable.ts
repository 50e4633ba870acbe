import { DormouseError } from '../errors/index.ts';

/** PostgreSQL stores every character but NUL, and no half of a surrogate pair. Stands for both (Unicode 23.8). */
const REPLACEMENT = '\uFFFD';

/**
 * The value with everything that PostgreSQL cannot store replaced, in all its strings. For what was told by others, such
 * as a guest's words in an error: it must neither be lost nor keep the history from being stored.
 */
export function storable<T>(value: T): T {
  if (typeof value === 'string') return value.toWellFormed().replaceAll('\0', REPLACEMENT) as T;
  if (Array.isArray(value)) return value.map(storable) as T;
  if (value !== null && typeof value === 'object' && !(value instanceof Date))
    return Object.fromEntries(
      Object.entries(value).map(([key, inner]) => [storable(key), storable(inner)]),
    ) as T;
  return value;
}

/** Refuses what would have to be replaced. For what a caller asks for, which must be kept as it is. Throws `INVALID_REQUEST`. */
export function requireStorable(value: unknown, what: string): void {
  if (JSON.stringify(storable(value)) !== JSON.stringify(value))
    throw new DormouseError('INVALID_REQUEST', `${what} has a NUL or half of a surrogate pair in a text.`);
}
