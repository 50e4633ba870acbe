import type { Clock } from '../clock.ts';
import type { Logger } from '../log.ts';
import { appendAudit, listAudit } from './audit.ts';
import { claimSandbox, claimSandboxes, releaseDisk, reserveDisk, unclaimSandbox } from './claims.ts';
import { openDatabase } from './database.ts';
import { fleet, usualDurations } from './fleet.ts';
import { listTeamTransitions, lostSince } from './history.ts';
import { upsertHost } from './hosts.ts';
import {
  authenticate,
  createKey,
  ensureKey,
  ensureTeam,
  hasLivingKey,
  KeyUses,
  keyLives,
  listKeys,
  revokeKey,
} from './keys.ts';
import { migrate } from './migrate.ts';
import { findSandbox, listSandboxes, unchangedSandboxes } from './sandboxes.ts';
import { createTeam, deleteTeam, findTeam, listTeams, updateTeam } from './teams.ts';
import {
  findTemplate,
  listAllTemplates,
  listTemplates,
  removeTemplate,
  upsertTemplate,
} from './templates.ts';
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
    keyLives: (keyHash) => keyLives(db, keyHash),
    hasLivingKey: (scope) => hasLivingKey(db, scope),
    ensureTeam: (teamId, name) => db.run((em) => ensureTeam(em, teamId, name)),
    ensureKey: (key) => ensureKey(db, key),
    listSandboxes: (filter) => listSandboxes(db, filter),
    findSandbox: (teamId, sandboxId) => findSandbox(db, teamId, sandboxId),
    unchangedSandboxes: (hostId, since, page) => unchangedSandboxes(db, hostId, since, page),
    listTransitions: (teamId, sandboxId, afterSeq, limit) =>
      listTransitions(db, teamId, sandboxId, afterSeq, limit),
    listTeamTransitions: (filter) => listTeamTransitions(db, filter),
    lostSince: (teamId, since, limit) => lostSince(db, teamId, since, limit),
    fleet: (teamId, filter) => fleet(db, teamId, filter),
    usualDurations: (teamId) => usualDurations(db, teamId),
    claimSandbox: (record) => claimSandbox(db, record),
    claimSandboxes: (records) => claimSandboxes(db, records),
    reserveDisk: (teamId, sandboxId, diskSizeMb) => reserveDisk(db, teamId, sandboxId, diskSizeMb),
    releaseDisk: (teamId, sandboxId, sizes) => releaseDisk(db, teamId, sandboxId, sizes),
    unclaimSandbox: (sandboxId) => unclaimSandbox(db, sandboxId),
    applyTransition: (transition) => applyTransition(db, transition),
    upsertHost: (host) => upsertHost(db, host),
    upsertTemplate: (template, seenAt) => upsertTemplate(db, template, seenAt),
    removeTemplate: (hostId, teamId, name, seenAt) => removeTemplate(db, hostId, teamId, name, seenAt),
    listTemplates: (teamId, kind) => listTemplates(db, teamId, kind),
    listAllTemplates: (kind) => listAllTemplates(db, kind),
    findTemplate: (teamId, name) => findTemplate(db, teamId, name),
    listTeams: () => listTeams(db),
    findTeam: (teamId) => findTeam(db, teamId),
    createTeam: (team) => createTeam(db, team),
    updateTeam: (teamId, changes) => updateTeam(db, teamId, changes),
    deleteTeam: (teamId) => deleteTeam(db, teamId),
    createKey: (key) => createKey(db, key),
    listKeys: (teamId) => listKeys(db, teamId),
    revokeKey: (teamId, keyId) => revokeKey(db, teamId, keyId),
    appendAudit: (entries) => appendAudit(db, entries),
    listAudit: (filter) => listAudit(db, filter),
    ping: async () => void (await db.run((em) => em.getConnection().execute('select 1'))),
    async close() {
      await uses.settled();
      await db.close();
    },
  };
}
