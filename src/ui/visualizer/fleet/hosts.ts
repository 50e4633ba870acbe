import { signal } from '@preact/signals';
import { ApiError, request } from '../../lib/api.ts';
import type { HostInfo } from '../../lib/types.ts';

/** The hosts that there are, for those who may look at them. */
export const hosts = signal<readonly HostInfo[]>([]);

/** Asks for them anew. Where that fails, those that were known stay. */
export async function askForHosts(signal: AbortSignal): Promise<void> {
  try {
    hosts.value = (await request<{ hosts: HostInfo[] }>('GET', '/v1/admin/hosts', { signal })).hosts;
  } catch (error) {
    if (!(error instanceof ApiError) && !signal.aborted) throw error;
  }
}
