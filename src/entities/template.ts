import { defineEntity, type InferEntity, p } from '@mikro-orm/core';

/**
 * What sandboxes start from: a read model, which hosts can tell again. The team is an id and no relation: what hosts tell is
 * stored whether or not the account is known here.
 */
export const Template = defineEntity({
  name: 'Template',
  tableName: 'templates',
  properties: {
    teamId: p.uuid().primary(),
    name: p.text().primary(),
    /** What its host calls it. One that is built again under its name has another. */
    id: p.text(),
    kind: p.enum(['base', 'snapshot']),
    /** Whether sandboxes wake up in a saved memory. */
    memory: p.boolean(),
    /** Size of the file system, in MiB. */
    sizeMb: p.integer(),
    /** What all of it really takes, in bytes. */
    allocatedBytes: p.bigint('number'),
    /** What a sandbox gets that names nothing else. */
    vcpus: p.integer(),
    memoryMb: p.integer(),
    diskSizeMb: p.integer(),
    user: p.text().nullable(),
    cwd: p.text().nullable(),
    env: p.json<Record<string, string>>(),
    startCmd: p.text().nullable(),
    readyCmd: p.text().nullable(),
    /** The sandbox that it was made from. */
    sourceSandboxId: p.text().nullable(),
    /** The host that has it. Empty for what was recorded before hosts said it. */
    hostId: p.text(),
    createdAt: p.datetime().length(3).defaultRaw('now()'),
    /** When its host last said so, by the host's clock. */
    seenAt: p.datetime().length(3),
  },
});
export type TemplateRow = InferEntity<typeof Template>;
