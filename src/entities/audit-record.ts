import { defineEntity, p } from '@mikro-orm/core';

/**
 * Who did what. Team and key are ids and no relations: what they did is told when they are gone, too. The id is the
 * request's, which its sender may choose, and choose twice; therefore the time belongs to the primary key.
 */
export const AuditRecord = defineEntity({
  name: 'AuditRecord',
  tableName: 'audit_log',
  // Pages of a team or of a key, newest first. Those of all have the primary key.
  indexes: [{ properties: ['teamId', 'at', 'id'] }, { properties: ['keyId', 'at', 'id'] }],
  properties: {
    at: p.datetime().length(3).primary(),
    id: p.text().primary(),
    /** Null when nobody knows the key. */
    teamId: p.uuid().nullable(),
    keyId: p.uuid().nullable(),
    address: p.text(),
    action: p.text(),
    target: p.text().nullable(),
    /** HTTP status of the answer, and the code of its error. */
    status: p.integer(),
    code: p.text().nullable(),
  },
});
