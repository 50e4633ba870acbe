import { type Static, Type } from 'typebox';
import type { SandboxTransition } from '../actors/sandbox/protocol.ts';
import { Nullable } from '../nullable.ts';
import type { FleetRow as RecordedRow, UsualDuration } from '../records/types.ts';
import { withoutHostPaths } from './present.ts';

/** A team's sandboxes at a glance, as callers see them. */

/** Most sandboxes that the fleet shows. */
export const FLEET_MAX = 10_000;

const closed = { additionalProperties: false } as const;

export const FleetRow = Type.Object(
  {
    id: Type.String(),
    host_id: Type.String({ description: 'Empty while none was chosen' }),
    template: Type.String(),
    state: Type.String({ description: 'Full value, such as `pausing.snapshotting`' }),
    since: Type.String({ format: 'date-time', description: 'When it came into the state' }),
    seq: Type.Integer({ description: 'Number of the last transition' }),
    execution: Type.Integer(),
    tries: Nullable(
      Type.Integer({ description: 'How often the step of the state was tried again; null when not told' }),
    ),
    error_code: Nullable(
      Type.String({ description: 'Why the last operation failed, until the next one succeeds' }),
    ),
  },
  closed,
);
export type FleetRow = Static<typeof FleetRow>;

export const Usual = Type.Object(
  {
    state: Type.String(),
    count: Type.Integer({ description: 'How many stays were looked at' }),
    p50_ms: Type.Number(),
    p95_ms: Type.Number(),
    p99_ms: Type.Number(),
  },
  { ...closed, description: 'How long sandboxes of the team stay in a state' },
);

/** What the stream of the fleet tells of a transition. */
export const FleetChange = Type.Object(
  {
    ...FleetRow.properties,
    from: Nullable(Type.String()),
    cause: Type.String(),
    step: Nullable(Type.String()),
    step_duration_ms: Nullable(Type.Number()),
    error: Nullable(Type.Object({ code: Type.String(), detail: Type.String() }, closed)),
  },
  closed,
);
export type FleetChange = Static<typeof FleetChange>;

export function presentRow(row: RecordedRow): FleetRow {
  return {
    id: row.id,
    host_id: row.hostId,
    template: row.template,
    state: row.state,
    since: row.since.toISOString(),
    seq: row.seq,
    execution: row.execution,
    tries: row.tries,
    error_code: row.errorCode,
  };
}

export function presentUsual({ state, count, p50Ms, p95Ms, p99Ms }: UsualDuration): Static<typeof Usual> {
  return { state, count, p50_ms: p50Ms, p95_ms: p95Ms, p99_ms: p99Ms };
}

export function presentChange(transition: SandboxTransition): FleetChange {
  const { sandbox, error, moment } = transition;
  const tries = moment?.context.tries;
  return {
    id: sandbox.id,
    host_id: transition.host_id,
    template: sandbox.template,
    state: transition.to,
    since: transition.at,
    seq: transition.seq,
    execution: transition.execution,
    tries: typeof tries === 'number' ? tries : null,
    error_code: sandbox.last_error?.code ?? null,
    from: transition.from,
    cause: transition.cause,
    step: transition.step,
    step_duration_ms: transition.step_duration_ms,
    error: error && { code: error.code, detail: withoutHostPaths(error.detail) },
  };
}

/** How far a reader of the fleet is: in the stream of events, and in what is inferred, by the edge's clock. */
export interface FleetPosition {
  streamSeq: number;
  atMs: number;
}

/** What a position looks like to callers, who send it back and do not look into it. */
export const FLEET_CURSOR_PATTERN = '^\\d{1,15}\\.\\d{1,15}$';

export function encodePosition({ streamSeq, atMs }: FleetPosition): string {
  return `${streamSeq}.${Math.round(atMs)}`;
}

/** Reads a position again; `FLEET_CURSOR_PATTERN` must fit. */
export function decodePosition(cursor: string): FleetPosition {
  const [streamSeq = 0, atMs = 0] = cursor.split('.').map(Number);
  return { streamSeq, atMs };
}
