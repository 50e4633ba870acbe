import { defineEntity, type InferEntity, p } from '@mikro-orm/core';
import { Team } from './team.ts';

/** A key that lets requests in. Only its hash is kept: who reads the database cannot use it. */
export const ApiKey = defineEntity({
  name: 'ApiKey',
  tableName: 'api_keys',
  properties: {
    id: p.uuid().primary(),
    team: () => p.manyToOne(Team).ref().deleteRule('cascade'),
    /** SHA-256 of the whole key, hexadecimal. */
    hash: p.text().unique(),
    /** First characters of the key, for lists. */
    prefix: p.text(),
    name: p.text(),
    scopes: p.array<'read' | 'write' | 'admin'>(),
    createdAt: p.datetime().length(3).defaultRaw('now()'),
    /** True to about a minute. */
    lastUsedAt: p.datetime().length(3).nullable(),
    expiresAt: p.datetime().length(3).nullable(),
    revokedAt: p.datetime().length(3).nullable(),
  },
});
export type ApiKeyRecord = InferEntity<typeof ApiKey>;
