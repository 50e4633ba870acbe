import { defineEntity, p } from '@mikro-orm/core';

/**
 * What sandboxes start from. The team is an id and no relation: what hosts tell is stored whether or not the account is
 * known here.
 */
export const Template = defineEntity({
  name: 'Template',
  tableName: 'templates',
  properties: {
    teamId: p.uuid().primary(),
    name: p.text().primary(),
    kind: p.enum(['base', 'snapshot']),
    /** Size of the file system, in MiB. */
    sizeMb: p.integer(),
    /** What the image really takes, in bytes. */
    allocatedBytes: p.bigint('number'),
    createdAt: p.datetime().length(3).defaultRaw('now()'),
  },
});
