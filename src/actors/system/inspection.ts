import { type Static, Type } from 'typebox';
import { Nullable } from '../../nullable.ts';

/** What people who look at an actor are shown of it. An allow-list: secrets and paths of the host stay where they are. */

const closed = { additionalProperties: false } as const;

/** Kinds of actors that are machines, as they stand in subjects and paths. */
export const ACTOR_KINDS = ['sandbox', 'host', 'loop-registry'] as const;
export const ActorKind = Type.Enum(ACTOR_KINDS, { description: 'Kind of actor' });
export type ActorKind = Static<typeof ActorKind>;

/** What an actor is in the middle of and holds, at one moment. */
export const Moment = Type.Object(
  {
    /** The part of the machine's context that may be shown. */
    context: Type.Record(Type.String(), Type.Unknown()),
    /** What it holds of the host, in the order in which it was acquired. */
    ledger: Type.Array(
      Type.Object({ kind: Type.String(), since: Type.String({ format: 'date-time' }) }, closed),
    ),
    /** Deadlines that are armed. */
    timers: Type.Array(
      Type.Object({ name: Type.String(), at: Type.String({ format: 'date-time' }) }, closed),
    ),
  },
  closed,
);
export type Moment = Static<typeof Moment>;

/** Something that happened to an actor: a transition, or a command that its state did not take. */
export const Inspection = Type.Object(
  {
    v: Type.Literal(1),
    kind: ActorKind,
    /** Of a sandbox its id; of a host and of its loop registry the host's. */
    id: Type.String(),
    /** Null for what belongs to no team. */
    team_id: Nullable(Type.String()),
    host_id: Type.String(),
    /** Number of the last transition. A refusal has that of the transition before it. */
    seq: Type.Integer(),
    /** The run of a sandbox; null for other kinds. */
    execution: Nullable(Type.Integer()),
    at: Type.String({ format: 'date-time' }),
    /** Full state values, such as `pausing.snapshotting`. Null on the first transition. A refusal has the same twice. */
    from: Nullable(Type.String()),
    to: Type.String(),
    /** As in the events: a command's name, `step.done`, `step.failed`, `timeout`, the type of an event of the actor's own. */
    cause: Type.String(),
    command_id: Nullable(Type.String()),
    /** The step that ended with this transition, and how long it took. */
    step: Nullable(Type.String()),
    step_duration_ms: Nullable(Type.Number()),
    error: Nullable(
      Type.Object(
        { code: Type.String(), detail: Type.String(), causes: Type.Optional(Type.Array(Type.String())) },
        closed,
      ),
    ),
    /** The command that was refused; null for a transition. */
    refused: Nullable(Type.String()),
    /** Commands that the state takes now. */
    allowed: Type.Array(Type.String()),
    moment: Nullable(Moment),
  },
  closed,
);
export type Inspection = Static<typeof Inspection>;
