import { Type } from 'typebox';
import { SandboxPath } from '../commands.ts';
import { KEYED } from '../error-sets.ts';
import { sandboxNotFound, sandboxOf } from '../plugins/rules.ts';
import type { EdgeApp, EdgePorts } from '../ports.ts';
import { presentTransition } from '../present.ts';
import { ref } from '../schemas.ts';
import { SEQ_MAX } from '../transition-number.ts';

const TransitionsQuery = Type.Object(
  {
    after_seq: Type.Integer({
      minimum: 0,
      default: 0,
      maximum: SEQ_MAX,
      description: 'Only those after this one: `seq` of the last one of the page before',
    }),
    limit: Type.Integer({ minimum: 1, maximum: 200, default: 100 }),
  },
  { additionalProperties: false },
);

/** What happened to a sandbox. */
export function addTransitionRoute(app: EdgeApp, { records }: EdgePorts): void {
  app.get(
    '/v1/sandboxes/:id/transitions',
    {
      schema: {
        operationId: 'listTransitions',
        summary: 'Lists what happened to a sandbox, oldest first.',
        tags: ['Sandboxes'],
        params: SandboxPath,
        querystring: TransitionsQuery,
        response: {
          200: Type.Object({ transitions: Type.Array(ref('Transition')) }, { additionalProperties: false }),
        },
      },
      config: { rules: { scope: 'read', owner: 'sandbox', errors: [...KEYED, 'SANDBOX_NOT_FOUND'] } },
    },
    async (request) => {
      const { teamId, id } = sandboxOf(request);
      const { after_seq, limit } = request.query;
      const transitions = await records.listTransitions(teamId, id, after_seq, limit);
      // A sandbox always has a first transition, except in the moment between its claim and its creation.
      if (transitions.length === 0 && !(await records.findSandbox(teamId, id))) throw sandboxNotFound();
      return { transitions: transitions.map(presentTransition) };
    },
  );
}
