import { effect, signal } from '@preact/signals';
import { ApiError, request } from '../../lib/api.ts';
import { fleet } from '../../lib/live.ts';
import { apiKey } from '../../lib/session.ts';
import type { Sandbox, Usage } from '../../lib/types.ts';
import { wait } from '../../lib/wait.ts';

/** What the list shows beside what the stream tells: sizes, labels, and what disks really take. */

export const sandboxes = signal<ReadonlyMap<string, Sandbox>>(new Map());
export const usedBytes = signal<ReadonlyMap<string, number>>(new Map());
/** Hosts that did not say what their disks take. */
export const hostsMissing = signal<readonly string[]>([]);

const PAGE_SIZE = 200;
/** As many as the stream tells of. */
const PAGES_MAX = 50;
/** New sandboxes are asked for together, disks are measured anew, and all is asked for again (nothing tells of a new size), this often. */
const NEW_EVERY_MS = 1_000;
const USAGE_EVERY_MS = 30_000;
const ALL_EVERY_MS = 60_000;
/** After a request that failed. */
const RETRY_MS = 3_000;
/** One that the records do not have is looked for this often. */
const TRIES_MAX = 3;

/** All that are not gone without a trace. */
const STATES =
  'creating,running,capturing,pausing,paused,resuming,restarting,crashed,undoing,failed,stranded,destroying';

/** Keeps them up to date until what it returns is called. */
export function followDetails(): () => void {
  return effect(() => {
    apiKey.value;
    const ended = new AbortController();
    sandboxes.value = new Map();
    usedBytes.value = new Map();
    void untilEnded(ended.signal, () => followSandboxes(ended.signal));
    void untilEnded(ended.signal, () => followUsage(ended.signal));
    return () => ended.abort();
  });
}

/** Takes over what a command has answered. */
export function noteSandbox(sandbox: Sandbox): void {
  sandboxes.value = new Map(sandboxes.peek()).set(sandbox.id, sandbox);
}

/** What cannot be had is not shown, and asked for again; the stream of the fleet says why. */
async function untilEnded(ended: AbortSignal, work: () => Promise<void>): Promise<void> {
  while (!ended.aborted) {
    try {
      await work();
    } catch (error) {
      if (ended.aborted) return;
      if (!(error instanceof ApiError)) throw error;
      await wait(RETRY_MS, ended);
    }
  }
}

/** Asks for all of them now and then, and between that for those that are new. */
async function followSandboxes(ended: AbortSignal): Promise<void> {
  if (!document.hidden) await loadWhile(() => true, ended);
  const tries = new Map<string, number>();
  for (let waitedMs = 0; waitedMs < ALL_EVERY_MS && !ended.aborted; waitedMs += NEW_EVERY_MS) {
    await wait(NEW_EVERY_MS, ended);
    const unknown = [...fleet.peek().rows.keys()].filter(
      (id) => !sandboxes.peek().has(id) && (tries.get(id) ?? 0) < TRIES_MAX,
    );
    for (const id of unknown) tries.set(id, (tries.get(id) ?? 0) + 1);
    await loadWhile(() => unknown.some((id) => !sandboxes.peek().has(id)), ended);
  }
}

/** Asks for one page after another, the newest sandboxes first, while more are wanted. */
async function loadWhile(isWanted: () => boolean, ended: AbortSignal): Promise<void> {
  let cursor: string | null = '';
  for (let page = 0; page < PAGES_MAX && cursor !== null && isWanted(); page += 1)
    cursor = await loadPage(cursor, ended);
}

/** @returns the cursor of the page after it; null when it was the last one */
async function loadPage(cursor: string, ended: AbortSignal): Promise<string | null> {
  const query = new URLSearchParams({ state: STATES, limit: String(PAGE_SIZE), ...(cursor && { cursor }) });
  const page = await request<{ sandboxes: Sandbox[]; next_cursor: string | null }>(
    'GET',
    `/v1/sandboxes?${query}`,
    { signal: ended },
  );
  const known = new Map(sandboxes.peek());
  // A command may have answered with something newer.
  for (const listed of page.sandboxes)
    if ((known.get(listed.id)?.seq ?? 0) <= listed.seq) known.set(listed.id, listed);
  sandboxes.value = known;
  return page.next_cursor;
}

async function followUsage(ended: AbortSignal): Promise<void> {
  while (!ended.aborted) {
    if (!document.hidden) {
      const usage = await request<Usage>('GET', '/v1/usage', { signal: ended });
      usedBytes.value = new Map(usage.sandboxes.map((one) => [one.id, one.allocated_bytes]));
      hostsMissing.value = usage.hosts_missing;
    }
    await wait(USAGE_EVERY_MS, ended);
  }
}
