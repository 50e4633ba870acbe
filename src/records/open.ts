import type { Clock } from '../clock.ts';
import type { Logger } from '../log.ts';
import { openDatabase } from './database.ts';
import { upsertHost } from './hosts.ts';
import { authenticate, ensureKey, KeyUses } from './keys.ts';
import { migrate } from './migrate.ts';
import { claimSandbox, findSandbox, listSandboxes, unclaimSandbox } from './sandboxes.ts';
import { listTemplates, upsertTemplate } from './templates.ts';
import { applyTransition, listTransitions } from './transitions.ts';
import type { Records } from './types.ts';

/**
 * Brings the database to the newest form and opens the records on it. From then on the database may go and come back: a
 * call while it is away throws `RECORDS_UNAVAILABLE`, and the next one tries again.
 *
 * @param options.url such as `postgresql://user:password@host/name`, or `postgresql://user@/name?host=/folder` for a socket
 * @throws `RECORDS_UNAVAILABLE` when the database cannot be reached, `CONFIG_INVALID` when the URL is not usable
 */
export async function openRecords(options: { url: string; clock: Clock; log: Logger }): Promise<Records> {
  await migrate(options.url, options.log);
  const db = openDatabase(options);
  const uses = new KeyUses(db);
  return {
    authenticate: (keyHash) => authenticate(db, uses, keyHash),
    ensureKey: (key) => ensureKey(db, key),
    listSandboxes: (filter) => listSandboxes(db, filter),
    findSandbox: (teamId, sandboxId) => findSandbox(db, teamId, sandboxId),
    listTransitions: (teamId, sandboxId, afterSeq, limit) =>
      listTransitions(db, teamId, sandboxId, afterSeq, limit),
    claimSandbox: (record) => claimSandbox(db, record),
    unclaimSandbox: (sandboxId) => unclaimSandbox(db, sandboxId),
    applyTransition: (transition) => applyTransition(db, transition),
    upsertHost: (host) => upsertHost(db, host),
    upsertTemplate: (template) => upsertTemplate(db, template),
    listTemplates: (teamId) => listTemplates(db, teamId),
    ping: async () => void (await db.run((em) => em.getConnection().execute('select 1'))),
    async close() {
      await uses.settled();
      await db.close();
    },
  };
}
