import { MikroORM } from '@mikro-orm/postgresql';
import type { Logger } from '../log.ts';
import { recordsError } from './errors.ts';
import { ormOptions, patient } from './orm.ts';

/** Key of the advisory lock: any number that nobody else uses in this database. */
export const LOCK_KEY = 0x646f726d;

/**
 * Brings the database to the newest form. Any number of processes may do it at once: an advisory lock lets one in after
 * the other, and whoever comes later finds nothing to do. The lock ends with its connection, so nobody who dies keeps it.
 *
 * @throws `RECORDS_UNAVAILABLE`, `CONFIG_INVALID`
 */
export async function migrate(url: string, log: Logger): Promise<void> {
  const orm = new MikroORM({ ...ormOptions(url, log), driverOptions: patient(url) });
  try {
    const connection = orm.em.getConnection();
    const applied = await connection
      .getClient()
      .transaction()
      .execute(async (lock) => {
        await connection.execute('select pg_advisory_xact_lock(?)', [LOCK_KEY], 'all', lock);
        // On another connection: the lock's own transaction only waits.
        return await orm.migrator.up();
      });
    if (applied.length > 0)
      log.info({ migrations: applied.map(({ name }) => name) }, 'migrated the database');
  } catch (error) {
    // Not waited for: a connection that was lost in the middle of a migration is never given back to the pool.
    void orm.close(true).catch(() => undefined);
    throw recordsError(error);
  }
  await orm.close(true);
}
