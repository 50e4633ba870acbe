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
/** New sandboxes are asked for together, and disks are measured anew, this often. */
const NEW_EVERY_MS = 1_000;
const USAGE_EVERY_MS = 30_000;

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
    void untilEnded(ended.signal, () => loadAll(ended.signal));
    void untilEnded(ended.signal, () => followNew(ended.signal));
    void untilEnded(ended.signal, () => followUsage(ended.signal));
    return () => ended.abort();
  });
}

/** Takes over what a command has answered. */
export function noteSandbox(sandbox: Sandbox): void {
  sandboxes.value = new Map(sandboxes.peek()).set(sandbox.id, sandbox);
}

/** What cannot be had is not shown; the stream of the fleet says why. */
async function untilEnded(ended: AbortSignal, work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (error) {
    if (!ended.aborted && !(error instanceof ApiError)) throw error;
  }
}

async function loadAll(ended: AbortSignal): Promise<void> {
  let cursor: string | null = '';
  for (let page = 0; page < PAGES_MAX && cursor !== null; page += 1) cursor = await loadPage(cursor, ended);
}

/** @returns the cursor of the page after it; null when it was the last one */
async function loadPage(cursor: string, ended: AbortSignal): Promise<string | null> {
  const query = new URLSearchParams({ state: STATES, limit: String(PAGE_SIZE), ...(cursor && { cursor }) });
  const page = await request<{ sandboxes: Sandbox[]; next_cursor: string | null }>(
    'GET',
    `/v1/sandboxes?${query}`,
    { signal: ended },
  );
  sandboxes.value = new Map([
    ...sandboxes.peek(),
    ...page.sandboxes.map((sandbox) => [sandbox.id, sandbox] as const),
  ]);
  return page.next_cursor;
}

/** Asks for the newest ones whenever the stream has told of one that was not there before. */
async function followNew(ended: AbortSignal): Promise<void> {
  const asked = new Set<string>();
  while (!ended.aborted) {
    await wait(NEW_EVERY_MS, ended);
    const news = fleet
      .peek()
      .changes.filter(({ id }) => !sandboxes.peek().has(id) && !asked.has(id))
      .map(({ id }) => id);
    if (news.length === 0) continue;
    // One that the newest page does not have is not asked for again and again.
    for (const id of news) asked.add(id);
    await loadPage('', ended);
  }
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
