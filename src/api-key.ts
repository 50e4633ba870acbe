import { createHash, randomBytes } from 'node:crypto';

/** API keys: how one is made, and what is stored of it. */

/** Random bytes of a key: nobody guesses 160 bits, so a plain hash of it can be stored. */
const KEY_BYTES = 20;
/** How much of a key is shown in lists and logs. */
const PREFIX_CHARS = 8;

/** What is stored of a key. */
export interface StoredKey {
  /** SHA-256 of the whole key, hexadecimal. */
  hash: string;
  /** First characters of the key, for people to tell keys apart. */
  prefix: string;
}

/** A new key, such as `dm_0f…`. It cannot be found out again from what is stored of it. */
export function newApiKey(): string {
  return `dm_${randomBytes(KEY_BYTES).toString('hex')}`;
}

/** What is stored of a key. */
export function storedKey(key: string): StoredKey {
  return { hash: hashOfKey(key), prefix: key.slice(0, PREFIX_CHARS) };
}

/** SHA-256 of the whole key, hexadecimal: by it keys are found. */
export function hashOfKey(key: string): string {
  return createHash('sha256').update(key).digest('hex');
}
