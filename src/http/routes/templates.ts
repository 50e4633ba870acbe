import { Type } from 'typebox';
import { hostCommands } from '../../actors/host/protocol.ts';
import { TemplateKind } from '../../actors/host/template-protocol.ts';
import { PLATFORM_TEAM_ID } from '../../ids.ts';
import type { TemplateRecord } from '../../records/types.ts';
import { CommandHeaders } from '../commands.ts';
import { ASKING, BODY, KEYED } from '../error-sets.ts';
import { principalOf } from '../plugins/auth.ts';
import { templateNameOf, templateNotFound } from '../plugins/rules.ts';
import type { EdgeApp, EdgePorts } from '../ports.ts';
import { ref } from '../schemas.ts';
import { removeTemplate } from '../template-removal.ts';
import { changedTeamOf, PLATFORM, presentTemplate } from '../templates.ts';

const tags = ['Templates'];
const closed = { additionalProperties: false } as const;

const TemplatePath = Type.Object({ name: Type.String({ description: 'Name of the template' }) });

const TeamQuery = Type.Object(
  {
    team: Type.Optional(
      Type.Enum([PLATFORM], {
        description: 'The platform instead of your team. Changing what is its own needs the scope `admin`',
      }),
    ),
  },
  closed,
);

/** What sandboxes can be made from: list, get, delete. */
export function addTemplateRoutes(app: EdgeApp, ports: EdgePorts): void {
  const { records } = ports;

  app.get(
    '/v1/templates',
    {
      schema: {
        operationId: 'listTemplates',
        summary: 'Lists the templates of the team and of the platform, by name.',
        description:
          'A template of the team hides that of the platform with its name from its sandboxes, but not here.',
        tags,
        querystring: Type.Object({ kind: Type.Optional(TemplateKind) }, closed),
        response: { 200: Type.Object({ templates: Type.Array(ref('Template')) }, closed) },
      },
      config: { rules: { scope: 'read', owner: 'team', errors: KEYED } },
    },
    async (request) => {
      const templates = await records.listTemplates(principalOf(request).teamId, request.query.kind);
      return { templates: templates.map(presentTemplate) };
    },
  );

  app.get(
    '/v1/templates/:name',
    {
      schema: {
        operationId: 'getTemplate',
        summary: 'Shows a template: the one of the team, else the one of the platform.',
        tags,
        params: TemplatePath,
        querystring: TeamQuery,
        response: { 200: ref('Template') },
      },
      config: { rules: { scope: 'read', owner: 'template', errors: [...KEYED, 'TEMPLATE_NOT_FOUND'] } },
    },
    async (request) => {
      const teamId = request.query.team === PLATFORM ? PLATFORM_TEAM_ID : principalOf(request).teamId;
      const found = await records.findTemplate(teamId, templateNameOf(request));
      if (!found) throw templateNotFound();
      return presentTemplate(found);
    },
  );

  app.delete(
    '/v1/templates/:name',
    {
      schema: {
        operationId: 'deleteTemplate',
        summary: hostCommands.deleteTemplate.summary,
        description:
          'A template of the team, whatever its kind. One whose image carries disks of sandboxes is refused with ' +
          '`TEMPLATE_IN_USE` and their ids in `users`: without the image they could not be read any more.',
        tags,
        params: TemplatePath,
        headers: CommandHeaders,
        querystring: TeamQuery,
        response: { 200: ref('Template') },
      },
      config: {
        rules: {
          scope: 'write',
          owner: 'template',
          errors: [
            ...KEYED,
            ...BODY,
            ...ASKING,
            'TEMPLATE_NOT_FOUND',
            'TEMPLATE_IN_USE',
            'DISK_FAILED',
            'DEVICE_BUSY',
          ],
        },
      },
    },
    async (request) => {
      const teamId = changedTeamOf(request, request.query.team);
      const found = await own(teamId, templateNameOf(request));
      if (!found) throw templateNotFound();
      await removeTemplate(ports, request, found);
      return presentTemplate(found);
    },
  );

  /** The team's template, and not the platform's of its name. */
  async function own(teamId: string, name: string): Promise<TemplateRecord | undefined> {
    const found = await records.findTemplate(teamId, name);
    return found?.teamId === teamId ? found : undefined;
  }
}
