import { defineEntity, p } from '@mikro-orm/core';

/** Whoever owns keys and sandboxes. The platform team owns the templates that everybody sees. */
export const Team = defineEntity({
  name: 'Team',
  tableName: 'teams',
  properties: {
    id: p.uuid().primary(),
    name: p.text(),
    createdAt: p.datetime().length(3).defaultRaw('now()'),
  },
});
