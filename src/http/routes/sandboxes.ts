import { Type } from 'typebox';
import {
  SandboxOptions,
  SandboxState,
  type SandboxView,
  sandboxCommands,
} from '../../actors/sandbox/protocol.ts';
import { schedulerCommands } from '../../actors/scheduler/protocol.ts';
import { SCHEDULER_SUBJECT } from '../../bus/subjects.ts';
import { hasCode } from '../../errors/index.ts';
import {
  CommandHeaders,
  commandIdOf,
  idempotencyKeyOf,
  requestOptionsOf,
  SandboxPath,
  sendCommand,
} from '../commands.ts';
import { DEFAULTS_ELSEWHERE } from '../defaults.ts';
import { ASKING, BODY, COMMANDS, CREATE, KEYED, STEPS } from '../error-sets.ts';
import { principalOf } from '../plugins/auth.ts';
import { sandboxNotFound, sandboxOf } from '../plugins/rules.ts';
import type { EdgeApp, EdgePorts } from '../ports.ts';
import { presentSandbox } from '../present.ts';
import { orNoScheduler } from '../schedule.ts';
import { ref } from '../schemas.ts';

const tags = ['Sandboxes'];

/** Only what the caller gives is passed on: the scheduler, which knows the template, fills in the rest. */
const CreateBody = Type.Partial(SandboxOptions, {
  additionalProperties: false,
  [DEFAULTS_ELSEWHERE]: true,
  description:
    "What is left out of vCPUs, memory and disk is the template's own, if it has one, and else the default that stands here",
});

const METADATA_PREFIX = 'metadata.';
const ListQuery = Type.Object(
  {
    state: Type.Optional(
      Type.Array(SandboxState, {
        description: 'Only these states, separated by commas; all but destroyed and failed when absent',
      }),
    ),
    limit: Type.Integer({ minimum: 1, maximum: 200, default: 50 }),
    cursor: Type.Optional(
      Type.String({ minLength: 1, maxLength: 1024, description: '`next_cursor` of the page before' }),
    ),
  },
  {
    additionalProperties: false,
    patternProperties: { '^metadata\\.[A-Za-z0-9_.-]{1,64}$': Type.String({ maxLength: 512 }) },
  },
);
const SandboxPage = Type.Object(
  {
    sandboxes: Type.Array(ref('Sandbox')),
    next_cursor: Type.Union([Type.String(), Type.Null()], { description: 'Null on the last page' }),
  },
  { additionalProperties: false },
);

/** Create, list, get and destroy. */
export function addSandboxRoutes(app: EdgeApp, ports: EdgePorts): void {
  const { bus, records } = ports;

  app.post(
    '/v1/sandboxes',
    {
      schema: {
        operationId: 'createSandbox',
        summary: 'Makes a sandbox and answers when it runs.',
        tags,
        headers: CommandHeaders,
        body: CreateBody,
        response: { 201: ref('Sandbox') },
      },
      config: {
        rules: { scope: 'write', owner: 'team', errors: [...KEYED, ...BODY, ...ASKING, ...CREATE, ...STEPS] },
      },
    },
    async (request, reply) => {
      const { teamId } = principalOf(request);
      const key = idempotencyKeyOf(request);
      const { create } = schedulerCommands;
      const view = await orNoScheduler(
        bus.request(
          `${SCHEDULER_SUBJECT}.${create.name}`,
          create,
          {
            team_id: teamId,
            options: request.body,
            ...(key !== undefined && { idempotency_key: key }),
          },
          {
            commandId: commandIdOf(request, 'scheduler', create),
            unanswered: 'SERVER_UNREACHABLE',
            ...requestOptionsOf(request),
          },
        ),
      );
      return reply.code(201).header('location', `/v1/sandboxes/${view.id}`).send(presentSandbox(view));
    },
  );

  app.get(
    '/v1/sandboxes',
    {
      schema: {
        operationId: 'listSandboxes',
        summary: 'Lists sandboxes, newest first.',
        description: '`?metadata.KEY=VALUE`, any number of times, keeps only those with these labels.',
        tags,
        querystring: ListQuery,
        response: { 200: SandboxPage },
      },
      config: { rules: { scope: 'read', owner: 'team', errors: KEYED } },
      preValidation: async (request) => {
        const query = request.query as Record<string, unknown>;
        if (query.state !== undefined) query.state = [query.state].flat().flatMap(splitAtCommas);
      },
    },
    async (request) => {
      const { state, limit, cursor, ...labels } = request.query;
      const metadata = Object.entries(labels as Record<string, string>).map(([name, value]) => [
        name.slice(METADATA_PREFIX.length),
        value,
      ]);
      const page = await records.listSandboxes({
        teamId: principalOf(request).teamId,
        ...(state && { states: state }),
        ...(metadata.length > 0 && { metadata: Object.fromEntries(metadata) }),
        limit,
        ...(cursor !== undefined && { cursor }),
      });
      return { sandboxes: page.items.map(presentSandbox), next_cursor: page.nextCursor };
    },
  );

  app.get(
    '/v1/sandboxes/:id',
    {
      schema: {
        operationId: 'getSandbox',
        summary: sandboxCommands.get.summary,
        description: 'From the sandbox itself; from the records when it is gone or its host does not answer.',
        tags,
        params: SandboxPath,
        response: { 200: ref('Sandbox') },
      },
      config: {
        rules: { scope: 'read', owner: 'sandbox', errors: [...KEYED, ...ASKING, 'SANDBOX_NOT_FOUND'] },
      },
    },
    async (request) => {
      const { teamId, id, subject } = sandboxOf(request);
      try {
        const view = await bus.request(
          `${subject}.${sandboxCommands.get.name}`,
          sandboxCommands.get,
          {},
          requestOptionsOf(request),
        );
        return presentSandbox(view);
      } catch (error) {
        if (!hasCode(error, 'HOST_UNREACHABLE')) throw error;
        return presentSandbox(await recorded(teamId, id));
      }
    },
  );

  app.delete(
    '/v1/sandboxes/:id',
    {
      schema: {
        operationId: 'destroySandbox',
        summary: sandboxCommands.destroy.summary,
        description: 'One that is gone already is answered with its record.',
        tags,
        params: SandboxPath,
        headers: CommandHeaders,
        response: { 200: ref('Sandbox') },
      },
      config: {
        rules: {
          scope: 'write',
          owner: 'sandbox',
          errors: [...KEYED, ...BODY, ...ASKING, ...COMMANDS, ...STEPS],
        },
      },
    },
    async (request) => {
      const { teamId, id } = sandboxOf(request);
      try {
        return presentSandbox(await sendCommand(ports, request, sandboxCommands.destroy, {}));
      } catch (error) {
        if (!hasCode(error, 'SANDBOX_NOT_FOUND')) throw error;
        return presentSandbox(await recorded(teamId, id));
      }
    },
  );

  /** The sandbox as the records have it, whatever its state. */
  async function recorded(teamId: string, id: string): Promise<SandboxView> {
    const view = await records.findSandbox(teamId, id);
    if (!view) throw sandboxNotFound();
    return view;
  }
}

function splitAtCommas(value: unknown): unknown[] {
  return typeof value === 'string' ? value.split(',') : [value];
}
