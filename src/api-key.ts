import { createHash, randomBytes } from 'node:crypto';
import { DormouseError, messageOf } from './errors/index.ts';

/** API keys: how one is made, and what is stored of it. */

/** Random bytes of a key: nobody guesses 160 bits, so a plain hash of it can be stored. */
const KEY_BYTES = 20;
/** How much of a key is shown in lists and logs. */
const PREFIX_CHARS = 8;

/** Shorter ones can be guessed, and their first characters, which are shown, would tell too much of them. */
const KEY_CHARS_MIN = 20;
/** Longest key that is looked at, in characters; ours have 43. */
export const KEY_CHARS_MAX = 512;
/** Others do not fit into a header. */
const KEY_FORM = new RegExp(`^[\\x21-\\x7e]{${KEY_CHARS_MIN},${KEY_CHARS_MAX}}$`);

/** What is stored of a key. */
export interface StoredKey {
  /** SHA-256 of the whole key, hexadecimal. */
  hash: string;
  /** First characters of the key, for people to tell keys apart. */
  prefix: string;
}

/**
 * Looks at a key that somebody chose.
 *
 * @throws `Error` that says what would be right, and nothing of the key
 */
export function checkApiKey(text: string): void {
  if (!KEY_FORM.test(text))
    throw new Error(
      `must be ${KEY_CHARS_MIN} to ${KEY_CHARS_MAX} letters, digits and signs of ASCII without spaces, such as what \`openssl rand -hex 20\` prints`,
    );
}

/**
 * The key that a file of a data directory holds; undefined when it holds nothing.
 *
 * @throws `CONFIG_INVALID` when what it holds is no key
 */
export function keyOfFile(file: string, content: string): string | undefined {
  const key = content.trim();
  if (key === '') return undefined;
  try {
    checkApiKey(key);
    return key;
  } catch (error) {
    throw new DormouseError(
      'CONFIG_INVALID',
      `${file} holds no API key: one ${messageOf(error)}. Set DORMOUSE_API_KEY, or remove the file and start the server again.`,
    );
  }
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
