import { Type } from 'typebox';
import {
  HOST_ACTOR_KINDS,
  Holdings,
  type HostActorKind,
  Inspections,
} from '../../../actors/host/inspection-protocol.ts';
import { HostInfo, hostCommands } from '../../../actors/host/protocol.ts';
import type { Command, ReplyOf, RequestOf } from '../../../actors/system/command.ts';
import { hostSubject } from '../../../bus/subjects.ts';
import { DormouseError } from '../../../errors/index.ts';
import { requestOptionsOf } from '../../commands.ts';
import { ASKING, KEYED } from '../../error-sets.ts';
import { EVENTS, type EventStreams } from '../../event-stream.ts';
import { type Followed, followActor } from '../../follow-actor.ts';
import type { EdgeApp, EdgePorts } from '../../ports.ts';
import { LastSeqHeaders, lastSeqOf } from '../../transition-number.ts';

const tags = ['Admin'];
const closed = { additionalProperties: false } as const;

const HostPath = Type.Object({ host: Type.String({ description: 'Id of the host' }) });
const ActorPath = Type.Object({
  ...HostPath.properties,
  kind: Type.Enum(HOST_ACTOR_KINDS, { description: 'Which of its actors' }),
});

/** The hosts that live: what they have, what they hold of their machines, and what happens to their own actors. */
export function addHostRoutes(app: EdgeApp, ports: EdgePorts, streams: EventStreams): void {
  const { bus } = ports;
  const rules = {
    scope: 'admin',
    owner: 'admin',
    errors: [...KEYED, ...ASKING, 'HOST_NOT_FOUND', 'DISK_FAILED', 'LOOP_FAILED', 'NETWORK_FAILED'],
  } as const;

  app.get(
    '/v1/admin/hosts',
    {
      schema: {
        operationId: 'listHosts',
        summary: 'Lists the hosts that live, with what they have and what of it is in use.',
        tags,
        response: { 200: Type.Object({ hosts: Type.Array(HostInfo) }, closed) },
      },
      config: { rules: { scope: 'admin', owner: 'admin', errors: [...KEYED, ...ASKING] } },
    },
    async () => ({ hosts: await bus.hosts.list() }),
  );

  app.get(
    '/v1/admin/hosts/:host/holdings',
    {
      schema: {
        operationId: 'getHoldings',
        summary: hostCommands.holdings.summary,
        tags,
        params: HostPath,
        response: { 200: Holdings },
      },
      config: { rules },
    },
    async (request) =>
      await askHost(request.params.host, hostCommands.holdings, {}, requestOptionsOf(request)),
  );

  app.get(
    '/v1/admin/hosts/:host/inspections/:kind',
    {
      schema: {
        operationId: 'inspectHost',
        summary: hostCommands.inspect.summary,
        tags,
        params: ActorPath,
        response: { 200: Inspections },
      },
      config: { rules },
    },
    async (request) => {
      const { host, kind } = request.params;
      return await askHost(host, hostCommands.inspect, { kind }, requestOptionsOf(request));
    },
  );

  app.get(
    '/v1/admin/hosts/:host/inspections/:kind/stream',
    {
      exposeHeadRoute: false,
      schema: {
        operationId: 'streamHostInspections',
        summary: 'Tells what happens to the host or its loop registry while it happens.',
        description:
          'Server-sent events. `inspection`: each transition, in order, with its number as the id, as far back as the host remembers; ' +
          'and commands that were refused, without an id. From now on when there is no `Last-Event-ID`.',
        tags,
        params: ActorPath,
        headers: LastSeqHeaders,
        response: { 200: EVENTS },
      },
      config: { rules },
    },
    async (request, reply) => {
      const { host, kind } = request.params;
      const lastSeq = lastSeqOf(request);
      const { now } = await askHost(host, hostCommands.inspect, { kind }, requestOptionsOf(request));
      const afterSeq = lastSeq ?? now.seq;
      return streams.answer(request, reply, (stream) =>
        followActor(ports, followed(host, kind), afterSeq, stream),
      );
    },
  );

  function followed(host: string, kind: HostActorKind): Followed {
    return {
      target: { kind, hostId: host },
      async history(afterSeq) {
        const { now, recent } = await askHost(host, hostCommands.inspect, { kind });
        const transitions = recent.filter(({ refused }) => refused === null);
        // With a new process of the host the numbers begin anew.
        const isAnother = now.seq < afterSeq;
        return {
          inspections: isAnother ? transitions : transitions.filter(({ seq }) => seq > afterSeq),
          isAll: true,
        };
      },
      isLast: () => false,
      present: (inspection) => inspection,
    };
  }

  /** Asks a host that is in the directory. Throws `HOST_NOT_FOUND` when it is not; what it answers with. */
  async function askHost<C extends Command>(
    host: string,
    command: C,
    body: RequestOf<C>,
    options = {},
  ): Promise<ReplyOf<C>> {
    const hosts = await bus.hosts.list();
    if (!hosts.some(({ host_id }) => host_id === host))
      throw new DormouseError(
        'HOST_NOT_FOUND',
        'No host of this id lives. `GET /v1/admin/hosts` lists those that do.',
      );
    return await bus.request(`${hostSubject(host)}.${command.name}`, command, body, options);
  }
}
