import { Template } from '../entities/index.ts';
import { PLATFORM_TEAM_ID } from '../ids.ts';
import type { Database } from './database.ts';
import type { Records } from './types.ts';

type TemplateFacts = Parameters<Records['upsertTemplate']>[0];

/** Stores what is known of a template. Throws `RECORDS_UNAVAILABLE`. */
export async function upsertTemplate(db: Database, template: TemplateFacts): Promise<void> {
  await db.run((em) =>
    em
      .createQueryBuilder(Template)
      .insert(template)
      .onConflict(['teamId', 'name'])
      .merge(['sizeMb', 'allocatedBytes', 'kind'])
      .execute('run'),
  );
}

/** The templates of the team and of the platform, by name. Throws `RECORDS_UNAVAILABLE`. */
export async function listTemplates(db: Database, teamId: string): Promise<TemplateFacts[]> {
  const records = await db.run((em) =>
    em.find(
      Template,
      { teamId: { $in: [teamId, PLATFORM_TEAM_ID] } },
      { orderBy: { name: 'asc', teamId: 'asc' } },
    ),
  );
  return records.map(({ teamId, name, sizeMb, allocatedBytes, kind }) => ({
    teamId,
    name,
    sizeMb,
    allocatedBytes,
    kind,
  }));
}
