import { AuditRecord } from '../entities/index.ts';
import { decodeCursor, encodeCursor, REQUEST_CURSOR } from './cursor.ts';
import type { Database } from './database.ts';
import { storable } from './storable.ts';
import type { AuditEntry, Page, Records } from './types.ts';

/**
 * Adds entries to the audit log. One that is there already is left out, so that a batch may be sent again: it is known by id and
 * time together, because the sender of a request may choose its id, and must not hide the second request with it.
 *
 * @throws `RECORDS_UNAVAILABLE`; then none of them is written
 */
export async function appendAudit(db: Database, entries: readonly AuditEntry[]): Promise<void> {
  if (entries.length === 0) return;
  await db.run((em) =>
    em
      .createQueryBuilder(AuditRecord)
      .insert(entries.map(storable))
      .onConflict(['at', 'id'])
      .ignore()
      .execute('run'),
  );
}

/**
 * One page of the audit log, newest first, of one team or key or of all.
 *
 * @throws `INVALID_REQUEST` for a cursor that is none, `RECORDS_UNAVAILABLE`
 */
export async function listAudit(
  db: Database,
  { teamId, keyId, limit, cursor }: Parameters<Records['listAudit']>[0],
): Promise<Page<AuditEntry>> {
  const after = cursor === undefined ? undefined : decodeCursor(cursor, REQUEST_CURSOR);
  return await db.run(async (em) => {
    const query = em
      .createQueryBuilder(AuditRecord, 'a')
      .where({ ...(teamId !== undefined && { teamId }), ...(keyId !== undefined && { keyId }) })
      .orderBy({ at: 'desc', id: 'desc' })
      // One more than a page tells whether there is another.
      .limit(limit + 1);
    if (after) query.andWhere('(a.at, a.id) < (?, ?)', [after.createdAt, after.id]);
    const found = await query.getResultList();
    const page = found.slice(0, limit);
    const last = page.at(-1);
    return {
      items: page.map(
        ({ id, at, teamId: team, keyId: key, address, action, target, status, code }): AuditEntry => ({
          id,
          at,
          teamId: team ?? null,
          keyId: key ?? null,
          address,
          action,
          target: target ?? null,
          status,
          code: code ?? null,
        }),
      ),
      nextCursor:
        found.length > page.length && last ? encodeCursor({ createdAt: last.at, id: last.id }) : null,
    };
  });
}
