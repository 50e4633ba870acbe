import { Type } from 'typebox';
import { Nullable } from '../../nullable.ts';
import { Scopes } from '../admin-schemas.ts';
import { KEYED } from '../error-sets.ts';
import { principalOf } from '../plugins/auth.ts';
import type { EdgeApp, EdgePorts } from '../ports.ts';

const Me = Type.Object(
  {
    team_id: Type.String(),
    team_name: Nullable(Type.String({ description: 'Null while the records do not have the team' })),
    scopes: Scopes,
    key_name: Nullable(Type.String({ description: 'Null where no key is asked for' })),
    auth: Type.Enum(['keys', 'none'], { description: 'Whether requests need a key' }),
    version: Type.String({ description: 'Version of the edge' }),
  },
  { additionalProperties: false },
);

/** Who sends the request, for pages that show what a key may do. */
export function addMeRoute(app: EdgeApp, { records, version, auth = 'keys' }: EdgePorts): void {
  app.get(
    '/v1/me',
    {
      schema: {
        operationId: 'getMe',
        summary: 'Shows whose the key is and what it may do, whatever that is.',
        tags: ['Keys'],
        response: { 200: Me },
      },
      config: { rules: { scope: 'any', owner: 'team', errors: KEYED } },
    },
    async (request) => {
      const { teamId, keyName, scopes } = principalOf(request);
      const team = await records.findTeam(teamId);
      return {
        team_id: teamId,
        team_name: team?.name ?? null,
        scopes: [...scopes],
        key_name: keyName,
        auth,
        version,
      };
    },
  );
}
