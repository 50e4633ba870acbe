import type { HostInfo } from '../actors/host/protocol.ts';
import { messageOf } from '../errors/index.ts';
import { mirrorTemplates } from './mirror-templates.ts';
import type { ProjectorOptions } from './projector.ts';

/** How often the directory is read, in milliseconds: about as often as hosts write into it. */
const MIRROR_EVERY_MS = 5_000;

/**
 * Copies the directory of hosts into the records every few seconds until `signal` aborts, so that a host and its
 * templates can be asked about after it has gone. A round that fails is made up for by the next.
 */
export async function mirrorHosts(options: ProjectorOptions): Promise<void> {
  const { bus, clock, log, signal } = options;
  while (!signal.aborted) {
    try {
      await mirrorOnce(await bus.hosts.list(), options);
    } catch (error) {
      if (!signal.aborted)
        log.warn({ reason: messageOf(error) }, 'the hosts were not copied into the records');
    }
    await clock.sleep(MIRROR_EVERY_MS, signal).catch(() => undefined);
  }
}

async function mirrorOnce(hosts: readonly HostInfo[], options: ProjectorOptions): Promise<void> {
  for (const info of hosts) {
    const { host_id: hostId, version, state } = info;
    await options.records.upsertHost({ hostId, version, state, info, seenAt: new Date(info.at) });
  }
  await mirrorTemplates(hosts, options);
}
