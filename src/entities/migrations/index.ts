import { RecordsMigration } from './migration-20261124-records.ts';
import { HostIndexMigration } from './migration-20261126-host-index.ts';
import { TeamsTemplatesMigration } from './migration-20261126-teams-templates.ts';
import { LostAndKeysMigration } from './migration-20261127-lost-and-keys.ts';
import { MomentsMigration } from './migration-20261127-moments.ts';

/** In the order in which they are applied. What was released is never changed: add another. */
export const migrations = [
  RecordsMigration,
  HostIndexMigration,
  TeamsTemplatesMigration,
  MomentsMigration,
  LostAndKeysMigration,
];
