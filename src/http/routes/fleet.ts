import { Type } from 'typebox';
import { PROJECTOR_CONSUMER } from '../../../nats/streams.ts';
import { ASKING, KEYED } from '../error-sets.ts';
import { EVENTS, type EventStreams } from '../event-stream.ts';
import {
  decodePosition,
  encodePosition,
  FLEET_CURSOR_PATTERN,
  FLEET_MAX,
  type FleetPosition,
  FleetRow,
  presentRow,
  presentUsual,
  Usual,
} from '../fleet.ts';
import { followFleet } from '../fleet-stream.ts';
import { principalOf } from '../plugins/auth.ts';
import type { EdgeApp, EdgePorts } from '../ports.ts';
import { UsualDurations } from '../usual-durations.ts';

const tags = ['Fleet'];
const closed = { additionalProperties: false } as const;

/** How long a sandbox that failed is shown among the others, in milliseconds. */
const FAILED_SHOWN_MS = 24 * 60 * 60_000;

const Fleet = Type.Object(
  {
    at: Type.String({ format: 'date-time' }),
    sandboxes: Type.Array(FleetRow, { description: 'Those that changed last first' }),
    truncated: Type.Boolean({ description: `Whether there are more than these ${FLEET_MAX}` }),
    usual: Type.Array(Usual),
    cursor: Type.String({ description: 'Sent as `Last-Event-ID`, the stream goes on from here' }),
  },
  closed,
);

/** All sandboxes of a team at a glance, and what happens to them. */
export function addFleetRoutes(app: EdgeApp, ports: EdgePorts, streams: EventStreams): void {
  const { bus, records, clock } = ports;
  const usual = new UsualDurations(records, clock);

  /** What is in the records by now, or before. */
  async function position(): Promise<FleetPosition> {
    return { streamSeq: await bus.events.handled(PROJECTOR_CONSUMER), atMs: clock.nowMs() };
  }

  app.get(
    '/v1/fleet',
    {
      schema: {
        operationId: 'getFleet',
        summary: 'Shows all sandboxes of the team at a glance, and how long they usually stay in a state.',
        description:
          'Without those that are destroyed; failed ones for a day. What happens after it, `GET /v1/fleet/stream` tells.',
        tags,
        response: { 200: Fleet },
      },
      config: { rules: { scope: 'read', owner: 'team', errors: [...KEYED, ...ASKING] } },
    },
    async (request) => {
      const { teamId } = principalOf(request);
      const nowMs = clock.nowMs();
      // Before the rows: whatever comes to the records meanwhile is told by the stream again, and nothing is left out.
      const cursor = encodePosition(await position());
      const failedSince = new Date(nowMs - FAILED_SHOWN_MS);
      const [rows, durations] = await Promise.all([
        records.fleet(teamId, { failedSince, limit: FLEET_MAX + 1 }),
        usual.of(teamId),
      ]);
      return {
        at: new Date(nowMs).toISOString(),
        sandboxes: rows.slice(0, FLEET_MAX).map(presentRow),
        truncated: rows.length > FLEET_MAX,
        usual: durations.map(presentUsual),
        cursor,
      };
    },
  );

  app.get(
    '/v1/fleet/stream',
    {
      exposeHeadRoute: false,
      schema: {
        operationId: 'streamFleet',
        summary: 'Tells what happens to the sandboxes of the team while it happens.',
        description:
          'Server-sent events. `transition`: a row of the fleet with `from`, `cause`, `step`, `step_duration_ms` and `error`; one may ' +
          'come twice, which its `seq` tells. `refused`: a command that a state did not take, with `id`, `state`, `command`, `at`. ' +
          '`reset`: not all that came after `Last-Event-ID` is known any more; read the fleet anew. A stream ends after some minutes; ' +
          'it goes on after the `Last-Event-ID`.',
        tags,
        headers: Type.Object({
          'last-event-id': Type.Optional(
            Type.String({
              pattern: FLEET_CURSOR_PATTERN,
              description: 'Id of the last event, or `cursor` of the fleet; from now on when absent',
            }),
          ),
        }),
        response: { 200: EVENTS },
      },
      config: { rules: { scope: 'read', owner: 'team', errors: [...KEYED, ...ASKING] } },
    },
    async (request, reply) => {
      const { teamId } = principalOf(request);
      const lastId = request.headers['last-event-id'];
      const from = lastId === undefined ? await position() : decodePosition(lastId);
      return streams.answer(request, reply, (stream) => followFleet(ports, teamId, from, stream));
    },
  );
}
