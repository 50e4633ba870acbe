import { defineEntity, type InferEntity, p } from '@mikro-orm/core';

/** Whoever owns keys, sandboxes and templates. The platform team owns the templates that everybody sees. */
export const Team = defineEntity({
  name: 'Team',
  tableName: 'teams',
  properties: {
    id: p.uuid().primary(),
    name: p.text(),
    /** What it may have at the same time, null for no limit; memory and disk in MiB. */
    quotaSandboxes: p.integer().nullable(),
    quotaVcpus: p.integer().nullable(),
    quotaMemoryMb: p.integer().nullable(),
    quotaDiskMb: p.integer().nullable(),
    createdAt: p.datetime().length(3).defaultRaw('now()'),
  },
});
export type TeamRecord = InferEntity<typeof Team>;
