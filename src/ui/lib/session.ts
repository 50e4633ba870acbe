import { signal } from '@preact/signals';

/** The API key of this tab. It is kept until the tab is closed, and sent to nobody but this server. */

const STORED = 'dormouse-api-key';

/** Empty when none was entered: with `--auth none` no key is needed. */
export const apiKey = signal(sessionStorage.getItem(STORED) ?? '');

/** Keeps the key for this tab; an empty one forgets it. */
export function keepKey(key: string): void {
  apiKey.value = key.trim();
  if (apiKey.value) sessionStorage.setItem(STORED, apiKey.value);
  else sessionStorage.removeItem(STORED);
}
