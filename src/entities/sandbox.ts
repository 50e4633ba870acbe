import { defineEntity, type InferEntity, p } from '@mikro-orm/core';

/**
 * A sandbox as its host last told: a read model, which the stream of events can build again. Team and host are ids and
 * no relations, so that an event is stored whether or not the account or the host is known here.
 */
export const Sandbox = defineEntity({
  name: 'Sandbox',
  tableName: 'sandboxes',
  indexes: [
    // Pages of a team, newest first: the index is read backwards.
    { properties: ['teamId', 'createdAt', 'id'] },
    { properties: ['metadata'], type: 'gin' },
    // What a team's quota is counted of; written as the next one.
    { properties: ['teamId'], where: "state <> ALL (ARRAY['destroyed'::text, 'failed'::text])" },
    // Those that failed lately.
    { properties: ['teamId', 'updatedAt'], where: "state = 'failed'::text" },
    // What a host is said to keep: those that are gone stay in the table, but not in the index. The condition is written as
    // PostgreSQL tells it, so that the entity and the database can be compared.
    { properties: ['hostId', 'id'], where: "state <> ALL (ARRAY['destroyed'::text, 'failed'::text])" },
  ],
  properties: {
    /** For a create with an idempotency key it is made of team and key, so the primary key keeps the two apart. */
    id: p.text().primary(),
    teamId: p.uuid(),
    hostId: p.text().nullable(),
    template: p.text(),
    state: p.text(),
    step: p.text().nullable(),
    vcpus: p.integer(),
    memoryMb: p.integer(),
    diskSizeMb: p.integer().default(20480),
    /** Size in MiB that the disk is about to get, as the quota counts it; the larger of the two is counted. */
    reservedDiskMb: p.integer().nullable(),
    timeoutS: p.integer(),
    onTimeout: p.enum(['pause', 'destroy']),
    autoResume: p.boolean(),
    metadata: p.json<Record<string, string>>(),
    /** Commands that the state takes. */
    allowed: p.array<string>(),
    idempotencyKey: p.text().nullable(),
    /** Null when the record was built from the stream, which does not have it. */
    requestHash: p.text().nullable(),
    /** Number of the transition that the record shows; 0 before the first. */
    seq: p.integer(),
    execution: p.integer(),
    lastError: p.json<{ code: string; detail: string }>().nullable(),
    createdAt: p.datetime().length(3),
    updatedAt: p.datetime().length(3),
    expiresAt: p.datetime().length(3).nullable(),
    destroyedAt: p.datetime().length(3).nullable(),
  },
});
export type SandboxRecord = InferEntity<typeof Sandbox>;
