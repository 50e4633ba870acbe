import { RecordsMigration } from './migration-20261124-records.ts';

/** In the order in which they are applied. What was released is never changed: add another. */
export const migrations = [RecordsMigration];
