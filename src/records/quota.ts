import { LockMode } from '@mikro-orm/core';
import { Team, type TeamRecord } from '../entities/index.ts';
import { DormouseError } from '../errors/index.ts';
import type { EntityManager } from './database.ts';
import type { Quota, Usage } from './types.ts';

/**
 * What teams may have, and what they have. Everything that adds to it counts and writes in one transaction, under the lock of
 * the team's row: whoever comes second counts what the first one wrote.
 *
 * All sandboxes count but those that are destroyed or failed. Paused ones do: each may be resumed at any moment, and no resume
 * is ever refused for a quota. So do those whose host does not answer, and those that are only planned.
 */

/** Each part of a quota: its name in data, and in a sentence. */
const PARTS = {
  sandboxes: { field: 'sandboxes', unit: 'sandboxes' },
  vcpus: { field: 'vcpus', unit: 'vCPUs' },
  memoryMb: { field: 'memory_mb', unit: 'MiB of memory' },
  diskMb: { field: 'disk_mb', unit: 'MiB of disk' },
} as const satisfies Record<keyof Quota, { field: string; unit: string }>;

export const NOTHING: Usage = { sandboxes: 0, vcpus: 0, memoryMb: 0, diskMb: 0 };

/** Locks the team's row until the transaction ends. Undefined, and nothing is locked, when there is none. */
export async function lockTeam(em: EntityManager, teamId: string): Promise<TeamRecord | undefined> {
  const team = await em.findOne(Team, { id: teamId }, { lockMode: LockMode.PESSIMISTIC_WRITE });
  return team ?? undefined;
}

/** What the teams have; one that has nothing is left out. All teams when none is named. */
export async function usages(em: EntityManager, teamId?: string): Promise<Map<string, Usage>> {
  // The condition is the one of the index on teams.
  const rows = await em.execute<Array<Record<string, string>>>(
    `select team_id, count(*) as sandboxes, sum(vcpus) as vcpus, sum(memory_mb) as memory_mb,
       sum(greatest(disk_size_mb, reserved_disk_mb)) as disk_mb
     from sandboxes where state not in ('destroyed', 'failed')${teamId === undefined ? '' : ' and team_id = ?'}
     group by team_id`,
    teamId === undefined ? [] : [teamId],
  );
  return new Map(
    rows.map(({ team_id, sandboxes, vcpus, memory_mb, disk_mb }) => [
      String(team_id),
      {
        sandboxes: Number(sandboxes),
        vcpus: Number(vcpus),
        memoryMb: Number(memory_mb),
        diskMb: Number(disk_mb),
      },
    ]),
  );
}

/** The quota in the team's row. */
export function quotaOf(team: TeamRecord): Quota {
  return {
    sandboxes: team.quotaSandboxes ?? null,
    vcpus: team.quotaVcpus ?? null,
    memoryMb: team.quotaMemoryMb ?? null,
    diskMb: team.quotaDiskMb ?? null,
  };
}

/**
 * Makes sure that the team may have what this transaction has written for it: the team's row is locked until it ends, and all is
 * counted. A team that has no row has no limit, because sandboxes may be recorded before their team is.
 *
 * @param added what was written; a quota that it does not add to is not looked at, so that what stands above a lowered one can go on
 * @throws `QUOTA_EXCEEDED`; then the transaction must not be committed
 */
export async function requireQuota(em: EntityManager, teamId: string, added: Usage): Promise<void> {
  const team = await lockTeam(em, teamId);
  if (!team) return;
  const quota = quotaOf(team);
  if (Object.values(quota).every((limit) => limit === null)) return;
  const total = (await usages(em, teamId)).get(teamId) ?? NOTHING;
  for (const part of Object.keys(PARTS) as Array<keyof Quota>) {
    const limit = quota[part];
    if (limit === null || added[part] <= 0 || total[part] <= limit) continue;
    const { field, unit } = PARTS[part];
    const [used, asked] = [total[part] - added[part], added[part]];
    throw new DormouseError(
      'QUOTA_EXCEEDED',
      `The team may have ${limit} ${unit}; it has ${used}, and ${asked} more ${asked === 1 ? 'was' : 'were'} asked for. Destroy sandboxes, or ask an administrator for a higher quota.`,
      { data: { quota: field, used, asked, limit } },
    );
  }
}
