import { Type } from 'typebox';
import { isGone, sandboxCommands } from '../../actors/sandbox/protocol.ts';
import { requestOptionsOf, SandboxPath, sendCommand } from '../commands.ts';
import { ASKING, KEYED } from '../error-sets.ts';
import { EVENTS, type EventStreams } from '../event-stream.ts';
import { type Followed, followActor } from '../follow-actor.ts';
import { type OwnSandbox, sandboxNotFound, sandboxOf } from '../plugins/rules.ts';
import type { EdgeApp, EdgePorts } from '../ports.ts';
import { inspectionOf, presentInspection } from '../present.ts';
import { ref } from '../schemas.ts';
import { LastSeqHeaders, lastSeqOf, SEQ_MAX } from '../transition-number.ts';

const tags = ['Sandboxes'];

/** How many transitions of the history are read at once. */
const PAGE = 200;

const StreamQuery = Type.Object(
  {
    after_seq: Type.Optional(
      Type.Integer({
        minimum: 0,
        maximum: SEQ_MAX,
        description:
          'Begins after this transition, when there is no `Last-Event-ID`; from now on when absent',
      }),
    ),
  },
  { additionalProperties: false },
);

/** What a sandbox is in the middle of and holds, and what happens to it. */
export function addInspectionRoutes(app: EdgeApp, ports: EdgePorts, streams: EventStreams): void {
  const { records } = ports;
  const { inspect } = sandboxCommands;

  app.get(
    '/v1/sandboxes/:id/inspection',
    {
      schema: {
        operationId: 'inspectSandbox',
        summary: inspect.summary,
        description: 'From the sandbox itself. What it was before, its transitions tell.',
        tags,
        params: SandboxPath,
        response: { 200: ref('Inspection') },
      },
      config: {
        rules: { scope: 'read', owner: 'sandbox', errors: [...KEYED, ...ASKING, 'SANDBOX_NOT_FOUND'] },
      },
    },
    async (request) =>
      presentInspection(await sendCommand(ports, request, inspect, {}, requestOptionsOf(request))),
  );

  app.get(
    '/v1/sandboxes/:id/inspection/stream',
    {
      exposeHeadRoute: false,
      schema: {
        operationId: 'streamInspections',
        summary: 'Tells what happens to a sandbox while it happens.',
        description:
          'Server-sent events. `inspection`: each transition once, in order, with its number as the id; and commands that were refused, ' +
          'without an id. `end`: nothing can come any more. A stream ends after some minutes; it goes on after the `Last-Event-ID`.',
        tags,
        params: SandboxPath,
        querystring: StreamQuery,
        headers: LastSeqHeaders,
        response: { 200: EVENTS },
      },
      config: { rules: { scope: 'read', owner: 'sandbox', errors: [...KEYED, 'SANDBOX_NOT_FOUND'] } },
    },
    async (request, reply) => {
      const sandbox = sandboxOf(request);
      const lastSeq = lastSeqOf(request) ?? request.query.after_seq;
      const record = await records.findSandbox(sandbox.teamId, sandbox.id);
      if (!record) throw sandboxNotFound();
      const afterSeq = lastSeq ?? record.seq;
      return streams.answer(request, reply, async (stream) => {
        if (!isGone(record) || afterSeq < record.seq)
          return await followActor(ports, followed(sandbox), afterSeq, stream);
        stream.send({ event: 'end', data: { seq: record.seq } });
        stream.end();
      });
    },
  );

  function followed({ teamId, id }: OwnSandbox): Followed {
    return {
      target: { kind: 'sandbox', teamId, id },
      async history(afterSeq) {
        const transitions = await records.listTransitions(teamId, id, afterSeq, PAGE);
        return { inspections: transitions.map(inspectionOf), isAll: transitions.length < PAGE };
      },
      isLast: ({ to, refused }) => refused === null && isGone({ state: to }),
      present: presentInspection,
    };
  }
}
