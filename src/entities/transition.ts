import { defineEntity, type InferEntity, p } from '@mikro-orm/core';

/** One step in a sandbox's history, as its host published it. Never changed. */
export const Transition = defineEntity({
  name: 'Transition',
  tableName: 'transitions',
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
  },
});
export type TransitionRecord = InferEntity<typeof Transition>;
