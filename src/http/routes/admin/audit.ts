import { Type } from 'typebox';
import { TEAM_ID_PATTERN } from '../../../ids.ts';
import { KEYED } from '../../error-sets.ts';
import type { EdgeApp, EdgePorts } from '../../ports.ts';
import { ref } from '../../schemas.ts';
import { presentAudit } from './present.ts';

const closed = { additionalProperties: false } as const;

const AuditQuery = Type.Object(
  {
    team: Type.Optional(Type.String({ pattern: TEAM_ID_PATTERN, description: 'Only of this team' })),
    key: Type.Optional(
      Type.String({ pattern: TEAM_ID_PATTERN, description: 'Only of the key with this id' }),
    ),
    limit: Type.Integer({ minimum: 1, maximum: 200, default: 50 }),
    cursor: Type.Optional(
      Type.String({ minLength: 1, maxLength: 1024, description: '`next_cursor` of the page before' }),
    ),
  },
  closed,
);

/** Who did what. */
export function addAuditRoute(app: EdgeApp, { records }: EdgePorts): void {
  app.get(
    '/v1/admin/audit',
    {
      schema: {
        operationId: 'listAudit',
        summary: 'Lists the requests that could change something, newest first.',
        description: 'An entry is there a moment after its request was answered.',
        tags: ['Admin'],
        querystring: AuditQuery,
        response: {
          200: Type.Object(
            {
              entries: Type.Array(ref('AuditEntry')),
              next_cursor: Type.Union([Type.String(), Type.Null()], { description: 'Null on the last page' }),
            },
            closed,
          ),
        },
      },
      config: { rules: { scope: 'admin', owner: 'admin', errors: KEYED } },
    },
    async (request) => {
      const { team, key, limit, cursor } = request.query;
      const page = await records.listAudit({
        limit,
        ...(team !== undefined && { teamId: team }),
        ...(key !== undefined && { keyId: key }),
        ...(cursor !== undefined && { cursor }),
      });
      return { entries: page.items.map(presentAudit), next_cursor: page.nextCursor };
    },
  );
}
