import { type Static, Type } from 'typebox';
import { Inspection } from '../actors/system/inspection.ts';

/** A run of the simulation as it can be looked at afterwards: what was told and what happened to actors, in order. */

const closed = { additionalProperties: false } as const;

/** One thing that happened: a line of the story, or something that happened to an actor. */
export const Frame = Type.Object(
  {
    /** Simulated time since the beginning, in milliseconds. */
    at_ms: Type.Number({ minimum: 0 }),
    text: Type.Optional(Type.String()),
    /** A line in which a fault befell something, or in which something was that must not be. */
    mark: Type.Optional(Type.Enum(['fault', 'violation'])),
    inspection: Type.Optional(Inspection),
  },
  closed,
);
export type Frame = Static<typeof Frame>;

export const Recording = Type.Object(
  {
    v: Type.Literal(1),
    scenario: Type.String(),
    /** The seed that the run was found with. */
    seed: Type.Optional(Type.Integer()),
    /** The faults that were planned: the `at`-th thing of a class, counted from 0. */
    faults: Type.Array(
      Type.Object({ class: Type.String(), at: Type.Integer({ minimum: 0 }), kind: Type.String() }, closed),
    ),
    /** What was that must not be; none in a run that is well. */
    violations: Type.Array(Type.String()),
    simulated_ms: Type.Number({ minimum: 0 }),
    frames: Type.Array(Frame),
  },
  closed,
);
export type Recording = Static<typeof Recording>;
