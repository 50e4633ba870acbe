import { Type } from 'typebox';
import { TemplateKind } from '../../../actors/host/template-protocol.ts';
import { KEYED } from '../../error-sets.ts';
import type { EdgeApp, EdgePorts } from '../../ports.ts';
import { ref } from '../../schemas.ts';
import { presentAdminTemplate } from '../../templates.ts';

const closed = { additionalProperties: false } as const;

/** The templates of all teams. */
export function addAdminTemplateRoute(app: EdgeApp, { records }: EdgePorts): void {
  app.get(
    '/v1/admin/templates',
    {
      schema: {
        operationId: 'listAllTemplates',
        summary: 'Lists the templates of all teams, by team and name.',
        tags: ['Admin'],
        querystring: Type.Object({ kind: Type.Optional(TemplateKind) }, closed),
        response: { 200: Type.Object({ templates: Type.Array(ref('AdminTemplate')) }, closed) },
      },
      config: { rules: { scope: 'admin', owner: 'admin', errors: KEYED } },
    },
    async (request) => ({
      templates: (await records.listAllTemplates(request.query.kind)).map(presentAdminTemplate),
    }),
  );
}
