import type { FastifyRequest } from 'fastify';
import type { Static } from 'typebox';
import { hostCommands } from '../actors/host/protocol.ts';
import type { TemplateDetails } from '../actors/host/template-protocol.ts';
import { hostSubject } from '../bus/subjects.ts';
import { DormouseError, hasCode } from '../errors/index.ts';
import { PLATFORM_TEAM_ID } from '../ids.ts';
import { templateRecordOf } from '../records/template-record.ts';
import type { TemplateRecord } from '../records/types.ts';
import { idempotencyKeyOf } from './commands.ts';
import { principalOf, requireScope } from './plugins/auth.ts';
import type { EdgePorts } from './ports.ts';
import type { AdminTemplate, Template } from './schemas.ts';

/** Templates between the hosts, the records and the callers. */

/** What a request may name as the team that it is about: its own, which needs no name, or the platform. */
export const PLATFORM = 'platform';

/**
 * The team whose template or snapshot a request makes or changes.
 *
 * @param team what the request names, if it can
 * @throws `FORBIDDEN` when it is the platform's and the key does not have the scope "admin"
 */
export function changedTeamOf(request: FastifyRequest, team?: string): string {
  const teamId = team === PLATFORM ? PLATFORM_TEAM_ID : principalOf(request).teamId;
  // Also with a key of the platform itself: what everybody uses needs more than "write".
  if (teamId === PLATFORM_TEAM_ID) requireScope(request, 'admin');
  return teamId;
}

/** A template as callers see it. */
export function presentTemplate(record: TemplateRecord): Static<typeof Template> {
  return {
    name: record.name,
    owner: record.teamId === PLATFORM_TEAM_ID ? 'platform' : 'team',
    kind: record.kind,
    memory: record.memory,
    vcpus: record.vcpus,
    memory_mb: record.memoryMb,
    disk_size_mb: record.diskSizeMb,
    size_mb: record.sizeMb,
    allocated_bytes: record.allocatedBytes,
    user: record.user,
    cwd: record.cwd,
    env: record.env,
    start_cmd: record.startCmd,
    ready_cmd: record.readyCmd,
    source_sandbox_id: record.sourceSandboxId,
    created_at: record.createdAt.toISOString(),
  };
}

/** A template as those see it who look after the installation. */
export function presentAdminTemplate(record: TemplateRecord): Static<typeof AdminTemplate> {
  return { ...presentTemplate(record), team_id: record.teamId, host_id: record.hostId };
}

/**
 * Tells the records of a template that a host has made, so that lists show it at once, and returns it as callers see it.
 * The host has it whether or not the records can be told now; they hear of it again from the directory.
 *
 * @param before the one that it replaces. On another host it is removed there, as far as that is possible now
 */
export async function recordTemplate(
  ports: EdgePorts,
  details: TemplateDetails,
  before: TemplateRecord | undefined,
): Promise<Static<typeof Template>> {
  const { records, clock, log } = ports;
  const record = templateRecordOf(details);
  if (before && before.hostId !== record.hostId) await removeElsewhere(ports, before);
  try {
    await records.upsertTemplate(record, new Date(clock.nowMs()));
  } catch (error) {
    if (!hasCode(error, 'RECORDS_UNAVAILABLE')) throw error;
    log.warn({ err: error, template: details.id }, 'the records were not told of a template');
  }
  return presentTemplate(record);
}

/**
 * What a template of this name would replace, so that nobody uploads in vain. A request with an `Idempotency-Key` may be one
 * that is sent again, and then it is not in its own way: the host decides.
 *
 * @throws `TEMPLATE_EXISTS` when there is one and it is not to be replaced
 */
export async function replacedBy(
  { records }: EdgePorts,
  request: FastifyRequest,
  { teamId, name, overwrite }: { teamId: string; name: string; overwrite: boolean },
): Promise<TemplateRecord | undefined> {
  const known = await records.findTemplate(teamId, name);
  // A name that only the platform has is free for a team.
  if (known?.teamId !== teamId) return undefined;
  if (overwrite || idempotencyKeyOf(request) !== undefined) return known;
  throw new DormouseError(
    'TEMPLATE_EXISTS',
    `There is a ${known.kind === 'snapshot' ? 'snapshot' : 'template'} with the name ${name}. Choose another name, or say that it is to be replaced (overwrite).`,
    { data: { name } },
  );
}

/** Removes a template from its host, which is not the one that has its successor. */
async function removeElsewhere(
  { bus, log }: EdgePorts,
  { hostId, teamId, name }: TemplateRecord,
): Promise<void> {
  const { deleteTemplate } = hostCommands;
  await bus
    .request(`${hostSubject(hostId)}.${deleteTemplate.name}`, deleteTemplate, { team_id: teamId, name })
    .catch((error: unknown) =>
      log.warn({ err: error, hostId, teamId, name }, 'a template that was replaced stays on its host'),
    );
}
