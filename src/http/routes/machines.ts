import type { FastifyReply, FastifyRequest } from 'fastify';
import { Type } from 'typebox';
import { ACTOR_KINDS, ActorKind } from '../../actors/system/inspection.ts';
import {
  kinds,
  machineDefinition,
  machineDrawing,
  machineGraph,
  mermaidOf,
  svgOf,
} from '../../machines/index.ts';
import { KEYED } from '../error-sets.ts';
import type { EdgeApp } from '../ports.ts';
import { ref } from '../schemas.ts';

const tags = ['Machines'];
const closed = { additionalProperties: false } as const;

const MachinePath = Type.Object({
  kind: Type.String({ description: `Kind of actor: ${ACTOR_KINDS.join(', ')}` }),
});

const MachineSummary = Type.Object(
  {
    kind: ActorKind,
    title: Type.String(),
    version: Type.String({ description: 'Changes with the machine' }),
    states: Type.Integer({ description: 'States that contain no others' }),
    transitions: Type.Integer(),
  },
  closed,
);

const ONE = { scope: 'read', owner: 'team', errors: [...KEYED, 'MACHINE_NOT_FOUND'] } as const;

/** An answer that is no JSON, as OpenAPI has it. */
const textOf = (type: string) => ({ content: { [type]: { schema: Type.String() } } });

/** The state machines of actors: how they are drawn, and what they are. */
export function addMachineRoutes(app: EdgeApp): void {
  app.get(
    '/v1/machines',
    {
      schema: {
        operationId: 'listMachines',
        summary: 'Lists the state machines of actors.',
        tags,
        response: { 200: Type.Object({ machines: Type.Array(MachineSummary) }, closed) },
      },
      config: { rules: { scope: 'read', owner: 'team', errors: KEYED } },
    },
    async () => ({
      machines: kinds.map(({ kind, title }) => {
        const { version, states, edges } = machineGraph(kind);
        return {
          kind,
          title,
          version,
          states: states.filter((state) => state.kind !== 'compound').length,
          transitions: edges.reduce((sum, { members }) => sum + members.length, 0),
        };
      }),
    }),
  );

  app.get(
    '/v1/machines/:kind',
    {
      schema: {
        operationId: 'getMachine',
        summary: 'Gives the drawing of a state machine: a place for every state, a way for every transition.',
        tags,
        params: MachinePath,
        response: { 200: ref('MachineDrawing') },
      },
      config: { rules: ONE },
    },
    async (request, reply) => {
      if (isKnown(request, reply)) return reply;
      return machineDrawing(request.params.kind);
    },
  );

  app.get(
    '/v1/machines/:kind/definition',
    {
      schema: {
        operationId: 'getMachineDefinition',
        summary: 'Gives the definition of a state machine as XState and its editor take it.',
        description:
          'What it calls (steps, guards, actions) is named; functions without a name are left out.',
        tags,
        params: MachinePath,
        response: { 200: Type.Object({}, { additionalProperties: true }) },
      },
      config: { rules: ONE },
    },
    async (request, reply) => {
      if (isKnown(request, reply)) return reply;
      return machineDefinition(request.params.kind);
    },
  );

  app.get(
    '/v1/machines/:kind/mermaid',
    {
      schema: {
        operationId: 'getMachineMermaid',
        summary: 'Gives a state machine as a Mermaid diagram.',
        tags,
        params: MachinePath,
        response: { 200: textOf('text/plain') },
      },
      config: { rules: ONE },
    },
    async (request, reply) => {
      if (isKnown(request, reply)) return reply;
      return reply.type('text/plain; charset=utf-8').send(mermaidOf(machineGraph(request.params.kind)));
    },
  );

  app.get(
    '/v1/machines/:kind/svg',
    {
      schema: {
        operationId: 'getMachineSvg',
        summary: 'Gives the drawing of a state machine as a picture.',
        tags,
        params: MachinePath,
        response: { 200: textOf('image/svg+xml') },
      },
      config: { rules: ONE },
    },
    async (request, reply) => {
      if (isKnown(request, reply)) return reply;
      return reply
        .type('image/svg+xml; charset=utf-8')
        .send(svgOf(await machineDrawing(request.params.kind)));
    },
  );
}

/** Names the version of the machine. Whoever has that one already gets 304, which must be returned as it is. */
function isKnown(request: FastifyRequest, reply: FastifyReply): boolean {
  const { kind } = request.params as { kind: string };
  const tag = `"${machineGraph(kind).version}"`;
  reply.headers({ etag: tag, 'cache-control': 'private, no-cache' });
  const known = request.headers['if-none-match']?.split(',').map((one) => one.trim().replace(/^W\//, ''));
  if (!known?.includes(tag)) return false;
  reply.code(304).send();
  return true;
}
