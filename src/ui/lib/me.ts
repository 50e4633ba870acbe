import { computed, effect, signal } from '@preact/signals';
import { ApiError, type Problem, request } from './api.ts';
import { apiKey } from './session.ts';
import type { Me } from './types.ts';
import { wait } from './wait.ts';

/** Who the server takes this page for. */

const RETRY_MS = 3_000;

type Identity =
  | { known: 'asking' }
  | { known: 'yes'; me: Me }
  /** `problem.code` is `UNAUTHENTICATED` when a key is needed. */
  | { known: 'no'; problem: Problem };

export const identity = signal<Identity>({ known: 'asking' });

/** Null while it is not known. */
export const me = computed(() => (identity.value.known === 'yes' ? identity.value.me : null));

/** Whether the key has a scope. */
export function may(scope: Me['scopes'][number]): boolean {
  return me.value?.scopes.includes(scope) ?? false;
}

/** Asks now, and again when there is another key or no answer. Called once, by the page's start. */
export function followIdentity(): void {
  effect(() => {
    apiKey.value;
    const replaced = new AbortController();
    void ask(replaced.signal);
    return () => replaced.abort();
  });
}

async function ask(replaced: AbortSignal): Promise<void> {
  identity.value = { known: 'asking' };
  while (!replaced.aborted) {
    try {
      const answer = await request<Me>('GET', '/v1/me', { signal: replaced });
      identity.value = { known: 'yes', me: answer };
      return;
    } catch (error) {
      if (replaced.aborted) return;
      if (!(error instanceof ApiError)) throw error;
      identity.value = { known: 'no', problem: error.problem };
      // A key that is wrong stays wrong; another one begins anew.
      if (error.status === 401 || error.status === 403) return;
      await wait(RETRY_MS, replaced);
    }
  }
}
