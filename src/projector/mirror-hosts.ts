import type { HostInfo, TemplateInfo } from '../actors/host/protocol.ts';
import { messageOf } from '../errors/index.ts';
import { PLATFORM_TEAM_ID } from '../ids.ts';
import type { Records } from '../records/types.ts';
import type { ProjectorOptions } from './projector.ts';

/** How often the directory is read, in milliseconds: about as often as hosts write into it. */
const MIRROR_EVERY_MS = 5_000;

/**
 * Copies the directory of hosts into the records every few seconds until `signal` aborts, so that a host and its
 * templates can be asked about after it has gone. A round that fails is made up for by the next.
 */
export async function mirrorHosts({ bus, records, clock, log, signal }: ProjectorOptions): Promise<void> {
  while (!signal.aborted) {
    try {
      await mirrorOnce(await bus.hosts.list(), records);
    } catch (error) {
      log.warn({ reason: messageOf(error) }, 'the hosts were not copied into the records');
    }
    await clock.sleep(MIRROR_EVERY_MS, signal).catch(() => undefined);
  }
}

async function mirrorOnce(hosts: readonly HostInfo[], records: Records): Promise<void> {
  for (const info of hosts) {
    const { host_id: hostId, version, state } = info;
    await records.upsertHost({ hostId, version, state, info, seenAt: new Date(info.at) });
  }
  const known = new Map((await records.listTemplates(PLATFORM_TEAM_ID)).map((one) => [one.name, one]));
  for (const { name, size_mb: sizeMb, allocated_bytes: allocatedBytes } of largestOf(hosts)) {
    const before = known.get(name);
    if (before?.sizeMb === sizeMb && before.allocatedBytes === allocatedBytes) continue;
    await records.upsertTemplate({ teamId: PLATFORM_TEAM_ID, name, sizeMb, allocatedBytes, kind: 'base' });
  }
}

/** Each template once, with what it takes on the host where it takes most: hosts need not agree. */
function largestOf(hosts: readonly HostInfo[]): TemplateInfo[] {
  const byName = new Map<string, TemplateInfo>();
  for (const template of hosts.flatMap((host) => host.templates)) {
    const other = byName.get(template.name);
    if (!other || other.allocated_bytes < template.allocated_bytes) byName.set(template.name, template);
  }
  return [...byName.values()];
}
