import type { Test } from 'tap';
import { systemClock } from '../../src/clock.ts';
import { openDatabase } from '../../src/records/database.ts';
import { openRecords } from '../../src/records/index.ts';
import type { Records } from '../../src/records/types.ts';
import { silentLog } from './nats.ts';
import { startTestPostgres, type TestPostgres } from './postgres.ts';

export interface TestRecords {
  records: Records;
  postgres: TestPostgres;
  /** Sends SQL past the records, with `?` for parameters. */
  sql<T = Record<string, unknown>>(query: string, params?: unknown[]): Promise<T[]>;
}

/** Records on a cluster of the test's own. The test's teardown closes both. */
export async function startTestRecords(t: Test): Promise<TestRecords> {
  const postgres = await startTestPostgres(t);
  const options = { url: postgres.url, clock: systemClock, log: silentLog };
  const records = await openRecords(options);
  const db = openDatabase(options);
  // Teardowns run last in, first out: the cluster is stopped after its clients have gone.
  t.teardown(async () => {
    await records.close();
    await db.close();
  });
  return {
    records,
    postgres,
    sql: (query, params = []) => db.run((em) => em.getConnection().execute(query, params)),
  };
}

/** A team id that no other test uses. */
export function newTeamId(): string {
  return crypto.randomUUID();
}
