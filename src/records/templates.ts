import { Template, type TemplateRow } from '../entities/index.ts';
import { PLATFORM_TEAM_ID } from '../ids.ts';
import type { Database } from './database.ts';
import { storable } from './storable.ts';
import type { TemplateKind, TemplateRecord } from './types.ts';

function recordOf(row: TemplateRow): TemplateRecord {
  const { seenAt: _, user, cwd, startCmd, readyCmd, sourceSandboxId, ...facts } = row;
  return {
    ...facts,
    user: user ?? null,
    cwd: cwd ?? null,
    startCmd: startCmd ?? null,
    readyCmd: readyCmd ?? null,
    sourceSandboxId: sourceSandboxId ?? null,
  };
}

/**
 * Stores what is known of a template of that team and name. An older word of the same host changes nothing; the clocks of different
 * hosts are not compared, and the last word of another host counts.
 *
 * @param seenAt when its host said so
 * @throws `RECORDS_UNAVAILABLE`
 */
export async function upsertTemplate(db: Database, template: TemplateRecord, seenAt: Date): Promise<void> {
  const row = storable({ ...template, seenAt });
  const columns = Object.keys(row) as Array<Extract<keyof typeof row, string>>;
  await db.run((em) =>
    em
      .createQueryBuilder(Template)
      .insert(row)
      .onConflict(['teamId', 'name'])
      .merge(columns.filter((column) => column !== 'teamId' && column !== 'name'))
      .where('templates.seen_at <= excluded.seen_at or templates.host_id <> excluded.host_id')
      .execute('run'),
  );
}

/** Forgets a template of the host, unless the host has spoken of it after `seenAt`. Throws `RECORDS_UNAVAILABLE`. */
export async function removeTemplate(
  db: Database,
  hostId: string,
  teamId: string,
  name: string,
  seenAt: Date,
): Promise<void> {
  await db.run((em) => em.nativeDelete(Template, { teamId, name, hostId, seenAt: { $lte: seenAt } }));
}

/** The templates of the team and of the platform, by name. Throws `RECORDS_UNAVAILABLE`. */
export async function listTemplates(
  db: Database,
  teamId: string,
  kind?: TemplateKind,
): Promise<TemplateRecord[]> {
  const rows = await db.run((em) =>
    em.find(
      Template,
      { teamId: { $in: [teamId, PLATFORM_TEAM_ID] }, ...(kind && { kind }) },
      { orderBy: { name: 'asc', teamId: 'asc' } },
    ),
  );
  return rows.map(recordOf);
}

/** The templates of all teams, by team and name. Throws `RECORDS_UNAVAILABLE`. */
export async function listAllTemplates(db: Database, kind?: TemplateKind): Promise<TemplateRecord[]> {
  const rows = await db.run((em) =>
    em.find(Template, { ...(kind && { kind }) }, { orderBy: { teamId: 'asc', name: 'asc' } }),
  );
  return rows.map(recordOf);
}

/** The team's template of that name, else the platform's. Throws `RECORDS_UNAVAILABLE`. */
export async function findTemplate(
  db: Database,
  teamId: string,
  name: string,
): Promise<TemplateRecord | undefined> {
  const rows = await db.run((em) => em.find(Template, { teamId: { $in: [teamId, PLATFORM_TEAM_ID] }, name }));
  const found = rows.find((row) => row.teamId === teamId) ?? rows[0];
  return found && recordOf(found);
}
