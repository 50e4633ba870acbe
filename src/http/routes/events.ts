import { Type } from 'typebox';
import { KEYED } from '../error-sets.ts';
import { principalOf } from '../plugins/auth.ts';
import type { EdgeApp, EdgePorts } from '../ports.ts';
import { presentTransition } from '../present.ts';
import { ref } from '../schemas.ts';

const closed = { additionalProperties: false } as const;

const EventsQuery = Type.Object(
  {
    limit: Type.Integer({ minimum: 1, maximum: 200, default: 50 }),
    cursor: Type.Optional(
      Type.String({ minLength: 1, maxLength: 1024, description: '`next_cursor` of the page before' }),
    ),
  },
  closed,
);

/** What happened to all sandboxes of a team. */
export function addEventsRoute(app: EdgeApp, { records }: EdgePorts): void {
  app.get(
    '/v1/events',
    {
      schema: {
        operationId: 'listEvents',
        summary: 'Lists what happened to the sandboxes of the team, newest first.',
        description: 'What happens now, `GET /v1/fleet/stream` tells.',
        tags: ['Fleet'],
        querystring: EventsQuery,
        response: {
          200: Type.Object(
            {
              transitions: Type.Array(ref('Transition')),
              next_cursor: Type.Union([Type.String(), Type.Null()], { description: 'Null on the last page' }),
            },
            closed,
          ),
        },
      },
      config: { rules: { scope: 'read', owner: 'team', errors: KEYED } },
    },
    async (request) => {
      const { teamId } = principalOf(request);
      const { limit, cursor } = request.query;
      const page = await records.listTeamTransitions({
        teamId,
        limit,
        ...(cursor !== undefined && { cursor }),
      });
      return { transitions: page.items.map(presentTransition), next_cursor: page.nextCursor };
    },
  );
}
