import { wait } from './wait.ts';

/** How long it is waited before each further try, in milliseconds. */
const AGAIN_AFTER_MS = [100, 300, 900] as const;

/**
 * Gets something, and tries again when that fails for want of an answer. A browser drops the requests that it is still connecting for
 * whenever the machine gets or loses an address (Chromium: `net::ERR_NETWORK_CHANGED`), as that of a host does with each network of a
 * sandbox.
 *
 * @param get changes nothing, since it may have been carried out although it fails
 * @throws what the last try threw; at once when `signal` has aborted
 */
export async function persistently<T>(get: () => Promise<T>, signal?: AbortSignal): Promise<T> {
  for (const ms of AGAIN_AFTER_MS) {
    try {
      return await get();
    } catch (error) {
      if (signal?.aborted) throw error;
      await wait(ms, signal);
    }
  }
  return await get();
}
