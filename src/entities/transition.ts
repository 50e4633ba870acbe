import { defineEntity, type InferEntity, p } from '@mikro-orm/core';

/** One step in a sandbox's history, as its host published it. Never changed, but that one which was inferred gives way to it. */
export const Transition = defineEntity({
  name: 'Transition',
  tableName: 'transitions',
  indexes: [
    // The history of a team, newest first: the index is read backwards.
    { properties: ['teamId', 'at', 'sandboxId', 'seq'] },
    // The few that were inferred: every stream of the fleet asks for them again and again.
    { properties: ['teamId', 'at'], where: "cause = 'lost'::text" },
  ],
  properties: {
    sandboxId: p.text().primary(),
    seq: p.integer().primary(),
    /** Version of the event's form. */
    v: p.integer(),
    teamId: p.uuid(),
    hostId: p.text(),
    execution: p.integer(),
    at: p.datetime().length(3),
    /** State values; `from` is null on the first transition. */
    from: p.text().nullable(),
    to: p.text(),
    cause: p.text(),
    commandId: p.text().nullable(),
    step: p.text().nullable(),
    stepDurationMs: p.double().$type<number>().nullable(),
    error: p.json<{ code: string; detail: string; causes?: string[] }>().nullable(),
    /** The sandbox after the transition, as in the event. */
    sandbox: p.json<unknown>(),
    /** What it was in the middle of and held. Null for what older versions told. */
    moment: p.json<unknown>().nullable(),
  },
});
export type TransitionRecord = InferEntity<typeof Transition>;
