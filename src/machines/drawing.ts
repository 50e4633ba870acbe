import { type Static, Type } from 'typebox';
import { ActorKind } from '../actors/system/inspection.ts';
import { Nullable } from '../nullable.ts';

/**
 * A machine as it is drawn: made on the server from the machine itself, once for each version of it. Lengths are in CSS pixels at
 * a scale of 1; the origin is the upper left corner.
 */

const closed = { additionalProperties: false } as const;

/** What leads from one state to another. Each kind is drawn in a way of its own, also without colour. */
export const EDGE_KINDS = ['step', 'failure', 'command', 'timeout', 'event'] as const;

export const DrawnState = Type.Object(
  {
    /** Dotted name, such as `pausing.snapshotting`: what transitions call it. */
    id: Type.String(),
    /** Its last part. */
    label: Type.String(),
    parent: Nullable(Type.String()),
    kind: Type.Enum(['compound', 'atomic', 'final']),
    /** Whether it is the one that its parent, or the machine, begins with. */
    initial: Type.Boolean(),
    /** Whether it belongs to a way back: states that are only reached after a failure. */
    failure: Type.Boolean(),
    tags: Type.Array(Type.String()),
    /** The step that the state carries out. */
    step: Nullable(Type.String()),
    x: Type.Number(),
    y: Type.Number(),
    width: Type.Number(),
    height: Type.Number(),
  },
  closed,
);
export type DrawnState = Static<typeof DrawnState>;

/** One transition of the machine. An edge can stand for several. */
export const EdgeMember = Type.Object(
  {
    /** The state that it leaves, a compound one for what all states inside it take. */
    from: Type.String(),
    /** As in an inspection's `cause`: `step.done`, `step.failed`, `timeout`, a command, an event. */
    cause: Type.String(),
    /** The state that is active afterwards: a leaf. */
    to: Type.String(),
    guard: Nullable(Type.String()),
  },
  closed,
);
export type EdgeMember = Static<typeof EdgeMember>;

export const DrawnEdge = Type.Object(
  {
    id: Type.String(),
    source: Type.String(),
    target: Type.String(),
    kind: Type.Enum(EDGE_KINDS),
    /** In a person's words, such as `fails`, `pause`, `backOff [headingPausing]`. */
    label: Type.String(),
    /** Where the label's box stands; null for an edge without one. */
    label_box: Nullable(
      Type.Object(
        { x: Type.Number(), y: Type.Number(), width: Type.Number(), height: Type.Number() },
        closed,
      ),
    ),
    /** From the source's border to the target's; straight lines between them. */
    points: Type.Array(Type.Tuple([Type.Number(), Type.Number()]), { minItems: 2 }),
    members: Type.Array(EdgeMember, { minItems: 1 }),
  },
  closed,
);
export type DrawnEdge = Static<typeof DrawnEdge>;

export const MachineDrawing = Type.Object(
  {
    v: Type.Literal(1),
    kind: ActorKind,
    title: Type.String(),
    /** Hash of the machine: the same machine has the same drawing. */
    version: Type.String(),
    width: Type.Number(),
    height: Type.Number(),
    states: Type.Array(DrawnState),
    edges: Type.Array(DrawnEdge),
  },
  closed,
);
export type MachineDrawing = Static<typeof MachineDrawing>;
