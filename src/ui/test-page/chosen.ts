import { computed, effect, signal } from '@preact/signals';
import { ApiError, request } from '../lib/api.ts';
import type { Call } from '../lib/call.ts';
import { me } from '../lib/me.ts';
import { send } from '../lib/send.ts';
import { apiKey } from '../lib/session.ts';
import type { Sandbox } from '../lib/types.ts';

/** The sandboxes that one can choose from, and the one that the buttons are for. */

/** Newest first. */
export const sandboxes = signal<readonly Sandbox[]>([]);
export const chosenId = signal('');
export const target = computed(() => ({ team: me.value?.team_id ?? '', id: chosenId.value }));

// Those of another key are no choice.
effect(() => {
  apiKey.value;
  show([], '');
});

/** Reads the list again and keeps, or makes, the choice. What fails here fails in what is sent next, too. */
export async function refresh(): Promise<void> {
  try {
    const page = await request<{ sandboxes: Sandbox[] }>('GET', '/v1/sandboxes?limit=200');
    const known = new Map(sandboxes.peek().map((sandbox) => [sandbox.id, sandbox]));
    // The list is a moment behind what a sandbox has answered itself.
    const newest = page.sandboxes.map((listed) => {
      const answered = known.get(listed.id);
      return answered && answered.seq > listed.seq ? answered : listed;
    });
    show(newest, chosenId.peek());
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
  }
}

/** Takes over what a command has answered, at the place where the sandbox is in the list; a new one is chosen. */
export function note(sandbox: Sandbox): void {
  const before = sandboxes.peek();
  if (!before.some(({ id }) => id === sandbox.id)) {
    show([sandbox, ...before], sandbox.id);
    return;
  }
  const after = before.map((one) => (one.id === sandbox.id ? sandbox : one));
  show(
    after.filter(({ state }) => state !== 'destroyed'),
    chosenId.peek(),
  );
}

/** Sends a request, which the page shows; undefined when it fails. */
export async function sendShown<T>(call: Call): Promise<T | undefined> {
  try {
    return await send<T>(call);
  } catch (error) {
    if (error instanceof ApiError) return undefined;
    throw error;
  }
}

function show(list: readonly Sandbox[], chosen: string): void {
  sandboxes.value = list;
  chosenId.value = list.find(({ id }) => id === chosen)?.id ?? list[0]?.id ?? '';
}
