import { defineEntity, p } from '@mikro-orm/core';

/** A host that was seen at some time. Which hosts live now is known to the bus alone. */
export const Host = defineEntity({
  name: 'Host',
  tableName: 'hosts',
  properties: {
    id: p.text().primary(),
    version: p.text(),
    state: p.text(),
    /** What the host last said of itself. */
    info: p.json<unknown>(),
    seenAt: p.datetime().length(3),
  },
});
