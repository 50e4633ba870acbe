import {
  type HostInfo,
  hostCommands,
  type TemplateDetails,
  type TemplateInfo,
} from '../actors/host/protocol.ts';
import { hostSubject } from '../bus/subjects.ts';
import { hasCode, messageOf } from '../errors/index.ts';
import { templateRecordOf, templateSizesOf } from '../records/template-record.ts';
import type { TemplateRecord } from '../records/types.ts';
import type { ProjectorOptions } from './projector.ts';

/**
 * Hosts tell of their templates in the directory: enough to choose a host. The rest (user, environment, commands) is asked for once,
 * when a template is new or another one has taken its name; from then on only what can change is compared.
 *
 * 1. **A name of a team is one template.** Of those of several hosts, the newest is recorded: it took the name of the others. Each host
 *    makes the platform's own by itself, and the newest of those stands for all.
 * 2. **A host is asked before its template is forgotten.** Its entry in the directory may be older than the template, of which the
 *    records were told by whoever built it.
 * 3. **What a host has that does not live now is kept.** It is on its disk, and may come back.
 */

/** States of a host in which it knows all of its templates. */
const KNOWS_ALL: ReadonlySet<HostInfo['state']> = new Set(['ready', 'draining']);

interface Found {
  host: HostInfo;
  template: TemplateInfo;
}

/**
 * Brings the templates of these hosts into the records. A host that does not answer is left out, for the next time to make up.
 *
 * @throws `RECORDS_UNAVAILABLE`, and what the bus throws when it is away
 */
export async function mirrorTemplates(hosts: readonly HostInfo[], options: ProjectorOptions): Promise<void> {
  const { records } = options;
  // Who did not answer once is not asked again in this round: a wait for each template would add up.
  const ask = askerOf(options);
  const recorded = new Map((await records.listAllTemplates()).map((record) => [keyOf(record), record]));
  const found = newestOf(hosts);
  for (const [key, one] of found) await store(one, recorded.get(key), ask, options);
  for (const [key, record] of recorded) {
    const host = hosts.find(({ host_id, state }) => host_id === record.hostId && KNOWS_ALL.has(state));
    if (host && !found.has(key)) await forget(host, record, ask, options);
  }
}

/** By team and name. */
function newestOf(hosts: readonly HostInfo[]): Map<string, Found> {
  const newest = new Map<string, Found>();
  for (const host of hosts)
    for (const template of host.templates) {
      const key = keyOf({ teamId: template.team_id, name: template.name });
      const other = newest.get(key);
      if (!other || isNewer({ host, template }, other)) newest.set(key, { host, template });
    }
  return newest;
}

/** Of two of the same age, every projector chooses the same. */
function isNewer(one: Found, other: Found): boolean {
  const laterMs = Date.parse(one.template.created_at) - Date.parse(other.template.created_at);
  return laterMs === 0 ? one.host.host_id < other.host.host_id : laterMs > 0;
}

async function store(
  { host, template }: Found,
  before: TemplateRecord | undefined,
  ask: Ask,
  { records }: ProjectorOptions,
): Promise<void> {
  const isKnown =
    before !== undefined &&
    before.id === template.id &&
    before.hostId === host.host_id &&
    before.createdAt.getTime() === Date.parse(template.created_at);
  const seenAt = new Date(host.at);
  if (!isKnown) {
    const details = await ask(host, template.team_id, template.name);
    // It may have gone since the entry was written.
    if (typeof details === 'object') await records.upsertTemplate(templateRecordOf(details), seenAt);
    return;
  }
  const changed = { ...before, ...templateSizesOf(template) };
  if (JSON.stringify(changed) !== JSON.stringify(before)) await records.upsertTemplate(changed, seenAt);
}

async function forget(
  host: HostInfo,
  { teamId, name }: TemplateRecord,
  ask: Ask,
  { records, log }: ProjectorOptions,
): Promise<void> {
  if ((await ask(host, teamId, name)) !== 'gone') return;
  await records.removeTemplate(host.host_id, teamId, name, new Date(host.at));
  log.info({ host: host.host_id, team: teamId, template: name }, 'a template is gone from its host');
}

/** All of a host's template; `gone` when the host has none of that team and name, `silent` when it does not answer. */
type Ask = (host: HostInfo, teamId: string, name: string) => Promise<TemplateDetails | 'gone' | 'silent'>;

function askerOf({ bus, log, signal }: ProjectorOptions): Ask {
  const silent = new Set<string>();
  const { template } = hostCommands;
  return async ({ host_id: hostId }, teamId, name) => {
    if (silent.has(hostId)) return 'silent';
    const subject = `${hostSubject(hostId)}.${template.name}`;
    try {
      const details = await bus.request(subject, template, { team_id: teamId, name }, { signal });
      // A host answers with the platform's when the team has none of its own.
      return details.team_id === teamId ? details : 'gone';
    } catch (error) {
      if (hasCode(error, 'TEMPLATE_NOT_FOUND')) return 'gone';
      if (!hasCode(error, 'HOST_UNREACHABLE') && !hasCode(error, 'DEADLINE_EXCEEDED')) throw error;
      silent.add(hostId);
      log.info({ host: hostId, reason: messageOf(error) }, 'a host did not tell of its templates');
      return 'silent';
    }
  };
}

function keyOf({ teamId, name }: { teamId: string; name: string }): string {
  return `${teamId} ${name}`;
}
