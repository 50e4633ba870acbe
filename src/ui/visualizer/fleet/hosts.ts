import { signal } from '@preact/signals';
import { ApiError, request } from '../../lib/api.ts';
import type { HostInfo } from '../../lib/types.ts';
import { wait } from '../../lib/wait.ts';

/** Hosts write their entry again every few seconds. */
const EVERY_MS = 5_000;

/** The hosts that there are, for those who may look at them. */
export const hosts = signal<readonly HostInfo[]>([]);

/** Asks for them again and again until `left` aborts. Where that fails, those that were known stay. */
export async function followHosts(left: AbortSignal): Promise<void> {
  while (!left.aborted) {
    if (!document.hidden) await askForHosts(left);
    await wait(EVERY_MS, left);
  }
}

async function askForHosts(signal: AbortSignal): Promise<void> {
  try {
    hosts.value = (await request<{ hosts: HostInfo[] }>('GET', '/v1/admin/hosts', { signal })).hosts;
  } catch (error) {
    if (!(error instanceof ApiError) && !signal.aborted) throw error;
  }
}
