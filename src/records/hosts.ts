import { Host } from '../entities/index.ts';
import type { Database } from './database.ts';
import { storable } from './storable.ts';
import type { Records } from './types.ts';

/** Stores what a host last said of itself; an older word changes nothing. Throws `RECORDS_UNAVAILABLE`. */
export async function upsertHost(db: Database, host: Parameters<Records['upsertHost']>[0]): Promise<void> {
  const { hostId, version, state, seenAt } = host;
  const info = storable(host.info);
  await db.run((em) =>
    em
      .createQueryBuilder(Host)
      .insert({ id: hostId, version, state, info, seenAt })
      .onConflict('id')
      .merge(['version', 'state', 'info', 'seenAt'])
      .where({ seenAt: { $lt: seenAt } })
      .execute('run'),
  );
}
