import { Type } from 'typebox';
import { MAX_FORKS } from '../../actors/sandbox/protocol.ts';
import { schedulerCommands } from '../../actors/scheduler/protocol.ts';
import { SCHEDULER_SUBJECT } from '../../bus/subjects.ts';
import {
  CommandHeaders,
  commandIdOf,
  foundOrUnreachable,
  idempotencyKeyOf,
  requestOptionsOf,
  SandboxPath,
} from '../commands.ts';
import { ASKING, BODY, COMMANDS, FORK, KEYED, STEPS } from '../error-sets.ts';
import { sandboxOf } from '../plugins/rules.ts';
import type { EdgeApp, EdgePorts } from '../ports.ts';
import { presentSandbox } from '../present.ts';
import { orNoScheduler } from '../schedule.ts';
import { ref } from '../schemas.ts';

const closed = { additionalProperties: false } as const;

/** Copies of a sandbox. */
export function addForkRoute(app: EdgeApp, ports: EdgePorts): void {
  const { fork } = schedulerCommands;
  app.post(
    '/v1/sandboxes/:id/fork',
    {
      schema: {
        operationId: 'forkSandbox',
        summary: 'Makes copies of a running or paused sandbox and answers when they run.',
        description:
          'All of them or none. Each goes on where the sandbox was, with an identity, entropy and an address of its own; ' +
          'nothing that can be written is shared. The sandbox stands still for no longer than a pause takes.',
        tags: ['Sandboxes'],
        params: SandboxPath,
        headers: CommandHeaders,
        body: Type.Object(
          { count: Type.Integer({ minimum: 1, maximum: MAX_FORKS, default: 1, description: 'How many' }) },
          closed,
        ),
        response: { 201: Type.Object({ sandboxes: Type.Array(ref('Sandbox')) }, closed) },
      },
      config: {
        rules: {
          scope: 'write',
          owner: 'sandbox',
          errors: [...KEYED, ...BODY, ...ASKING, ...COMMANDS, ...FORK, ...STEPS],
        },
      },
    },
    async (request, reply) => {
      const sandbox = sandboxOf(request);
      const key = idempotencyKeyOf(request);
      const { sandboxes } = await foundOrUnreachable(ports, sandbox, () =>
        orNoScheduler(
          ports.bus.request(
            `${SCHEDULER_SUBJECT}.${fork.name}`,
            fork,
            {
              team_id: sandbox.teamId,
              sandbox_id: sandbox.id,
              count: request.body.count,
              ...(key !== undefined && { idempotency_key: key }),
            },
            {
              commandId: commandIdOf(request, sandbox.id, fork),
              unanswered: 'SERVER_UNREACHABLE',
              ...requestOptionsOf(request),
            },
          ),
        ),
      );
      return reply.code(201).send({ sandboxes: sandboxes.map(presentSandbox) });
    },
  );
}
