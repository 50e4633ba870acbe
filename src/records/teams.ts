import { randomUUID } from 'node:crypto';
import { GONE } from '../actors/sandbox/protocol.ts';
import { Sandbox, Team, type TeamRecord, Template } from '../entities/index.ts';
import { DormouseError } from '../errors/index.ts';
import { PLATFORM_TEAM_ID } from '../ids.ts';
import type { Database } from './database.ts';
import { lockTeam, NOTHING, quotaOf, usages } from './quota.ts';
import { requireStorable } from './storable.ts';
import type { Quota, Records, Team as TeamFacts, Usage } from './types.ts';

/** The error for a team that is not there. */
export function teamNotFound(teamId: string): DormouseError {
  return new DormouseError('TEAM_NOT_FOUND', `There is no team ${teamId}.`);
}

function teamOf(record: TeamRecord): TeamFacts {
  const { id, name, createdAt } = record;
  return { id, name, quota: quotaOf(record), createdAt };
}

/** The columns of those limits that are named. */
function columnsOf(quota: Partial<Quota>) {
  return {
    ...(quota.sandboxes !== undefined && { quotaSandboxes: quota.sandboxes }),
    ...(quota.vcpus !== undefined && { quotaVcpus: quota.vcpus }),
    ...(quota.memoryMb !== undefined && { quotaMemoryMb: quota.memoryMb }),
    ...(quota.diskMb !== undefined && { quotaDiskMb: quota.diskMb }),
  };
}

/** All teams by name, with what they have. Throws `RECORDS_UNAVAILABLE`. */
export async function listTeams(db: Database): Promise<Array<TeamFacts & { usage: Usage }>> {
  return await db.run(async (em) => {
    const teams = await em.find(Team, {}, { orderBy: { name: 'asc', id: 'asc' } });
    const used = await usages(em);
    return teams.map((team) => ({ ...teamOf(team), usage: used.get(team.id) ?? NOTHING }));
  });
}

/** The team with what it has. Throws `RECORDS_UNAVAILABLE`. */
export async function findTeam(
  db: Database,
  teamId: string,
): Promise<(TeamFacts & { usage: Usage }) | undefined> {
  return await db.run(async (em) => {
    const team = await em.findOne(Team, { id: teamId });
    if (!team) return undefined;
    return { ...teamOf(team), usage: (await usages(em, teamId)).get(teamId) ?? NOTHING };
  });
}

/** Makes a team without keys. Throws `INVALID_REQUEST` for a name that cannot be stored, `RECORDS_UNAVAILABLE`. */
export async function createTeam(
  db: Database,
  { name, quota }: Parameters<Records['createTeam']>[0],
): Promise<TeamFacts> {
  requireStorable(name, 'The name of the team');
  const team = { id: randomUUID(), name, createdAt: new Date(db.clock.nowMs()) };
  await db.run((em) => em.insert(Team, { ...team, ...columnsOf(quota) }));
  return { ...team, quota };
}

/**
 * Changes what is named. A quota may be lowered below what the team has: that stays, and nothing is added to it.
 *
 * @throws `TEAM_NOT_FOUND`, `INVALID_REQUEST` for a name that cannot be stored, `RECORDS_UNAVAILABLE`
 */
export async function updateTeam(
  db: Database,
  teamId: string,
  { name, quota = {} }: Parameters<Records['updateTeam']>[1],
): Promise<TeamFacts> {
  if (name !== undefined) requireStorable(name, 'The name of the team');
  return await db.transaction(async (em) => {
    // The lock of claims: after this nobody counts against the quota of before.
    const team = await lockTeam(em, teamId);
    if (!team) throw teamNotFound(teamId);
    const changes = { ...(name !== undefined && { name }), ...columnsOf(quota) };
    if (Object.keys(changes).length > 0) await em.nativeUpdate(Team, { id: teamId }, changes);
    return teamOf({ ...team, ...changes });
  });
}

/**
 * Deletes a team with its keys. What it did stays in the audit log, and so do the records of sandboxes that it had. A create that
 * was let in before may come after this: the team is not there then, and what is made can be seen by its host only.
 *
 * @throws `TEAM_NOT_FOUND`; `TEAM_IN_USE` while it has sandboxes or templates, and for the platform; `RECORDS_UNAVAILABLE`
 */
export async function deleteTeam(db: Database, teamId: string): Promise<void> {
  if (teamId === PLATFORM_TEAM_ID)
    throw new DormouseError('TEAM_IN_USE', 'The team of the platform owns what every team uses.');
  await db.transaction(async (em) => {
    if (!(await lockTeam(em, teamId))) throw teamNotFound(teamId);
    const sandboxes = await em.count(Sandbox, { teamId, state: { $nin: GONE } });
    const templates = await em.count(Template, { teamId });
    if (sandboxes + templates > 0)
      throw new DormouseError(
        'TEAM_IN_USE',
        `The team has ${sandboxes} sandboxes and ${templates} templates. Destroy and delete them first.`,
        { data: { sandboxes, templates } },
      );
    await em.nativeDelete(Team, { id: teamId });
  });
}
