import type { FastifyRequest } from 'fastify';
import { hostCommands } from '../actors/host/protocol.ts';
import { hostSubject } from '../bus/subjects.ts';
import { hasCode } from '../errors/index.ts';
import type { TemplateRecord } from '../records/types.ts';
import { commandIdOf, requestOptionsOf } from './commands.ts';
import type { EdgePorts } from './ports.ts';

/**
 * Removes a template from every host that has it, and from the records. A template of the platform may be on several. When
 * one of them refuses, the others may have lost theirs; the same request goes on where this one ended.
 *
 * @throws `TEMPLATE_IN_USE` with who uses it, `HOST_UNREACHABLE`, and what else a host throws
 */
export async function removeTemplate(
  ports: EdgePorts,
  request: FastifyRequest,
  { teamId, name, hostId }: TemplateRecord,
): Promise<void> {
  const { bus, records, clock } = ports;
  const { deleteTemplate } = hostCommands;
  const others = (await bus.hosts.list())
    .filter(({ templates }) => templates.some((one) => one.team_id === teamId && one.name === name))
    .map(({ host_id }) => host_id);
  for (const host of new Set([hostId, ...others])) {
    const body = { team_id: teamId, name };
    await bus
      .request(`${hostSubject(host)}.${deleteTemplate.name}`, deleteTemplate, body, {
        commandId: commandIdOf(request, `template ${host} ${teamId} ${name}`, deleteTemplate),
        ...requestOptionsOf(request),
      })
      .catch((error: unknown) => {
        // It is gone already, and the records have not heard of it.
        if (!hasCode(error, 'TEMPLATE_NOT_FOUND')) throw error;
      });
    await records.removeTemplate(host, teamId, name, new Date(clock.nowMs()));
  }
}
