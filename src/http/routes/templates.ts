import { Type } from 'typebox';
import { PLATFORM_TEAM_ID } from '../../ids.ts';
import { KEYED } from '../error-sets.ts';
import { principalOf } from '../plugins/auth.ts';
import type { EdgeApp, EdgePorts } from '../ports.ts';
import { Template } from '../schemas.ts';

/** What sandboxes can be made from. */
export function addTemplateRoute(app: EdgeApp, { records }: EdgePorts): void {
  app.get(
    '/v1/templates',
    {
      schema: {
        operationId: 'listTemplates',
        summary: 'Lists the templates of the team and of the platform.',
        tags: ['Templates'],
        response: {
          200: Type.Object({ templates: Type.Array(Template) }, { additionalProperties: false }),
        },
      },
      config: { rules: { scope: 'read', owner: 'team', errors: KEYED } },
    },
    async (request) => {
      const templates = await records.listTemplates(principalOf(request).teamId);
      return {
        templates: templates.map(({ teamId, name, kind, sizeMb, allocatedBytes }) => ({
          name,
          owner: teamId === PLATFORM_TEAM_ID ? ('platform' as const) : ('team' as const),
          kind,
          size_mb: sizeMb,
          allocated_bytes: allocatedBytes,
        })),
      };
    },
  );
}
