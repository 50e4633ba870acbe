import { createHash } from 'node:crypto';

/** Hash of a command's name and body: tells whether a command id that comes again is the same request. */
export function fingerprintOf(name: string, body: unknown): string {
  return createHash('sha256')
    .update(`${name}\n${stableJson(body)}`)
    .digest('hex')
    .slice(0, 32);
}

/** JSON with sorted keys: the same request gives the same text. */
export function stableJson(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(stableJson).join(',')}]`;
  if (value !== null && typeof value === 'object') {
    const entries = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
    return `{${entries.map(([key, inner]) => `${JSON.stringify(key)}:${stableJson(inner)}`).join(',')}}`;
  }
  return JSON.stringify(value) ?? 'null';
}
