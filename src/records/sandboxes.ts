import { GONE, type SandboxView } from '../actors/sandbox/protocol.ts';
import { Sandbox } from '../entities/index.ts';
import { decodeCursor, encodeCursor } from './cursor.ts';
import type { Database } from './database.ts';
import { viewOf } from './sandbox-row.ts';
import { requireStorable } from './storable.ts';
import type { Page, Records, SandboxFilter } from './types.ts';

/**
 * One page of a team's sandboxes, newest first, without those that are no more unless they are asked for. Pages are cut at a sandbox and not at a count, so that what is made
 * meanwhile neither shifts nor repeats the rest.
 *
 * @throws `INVALID_REQUEST` for a cursor that is none, `RECORDS_UNAVAILABLE`
 */
export async function listSandboxes(db: Database, filter: SandboxFilter): Promise<Page<SandboxView>> {
  const after = filter.cursor === undefined ? undefined : decodeCursor(filter.cursor);
  if (filter.metadata) requireStorable(filter.metadata, 'The filter');
  return await db.run(async (em) => {
    const query = em
      .createQueryBuilder(Sandbox, 's')
      .where({ teamId: filter.teamId })
      .andWhere({ state: filter.states ? { $in: [...filter.states] } : { $nin: GONE } })
      .orderBy({ createdAt: 'desc', id: 'desc' })
      // One more than a page tells whether there is another.
      .limit(filter.limit + 1);
    if (filter.metadata && Object.keys(filter.metadata).length > 0)
      query.andWhere('s.metadata @> ?::jsonb', [JSON.stringify(filter.metadata)]);
    if (after) query.andWhere('(s.created_at, s.id) < (?, ?)', [after.createdAt, after.id]);
    const found = await query.getResultList();
    const page = found.slice(0, filter.limit);
    const last = page.at(-1);
    return {
      items: page.map(viewOf),
      nextCursor: found.length > page.length && last ? encodeCursor(last) : null,
    };
  });
}

/** A sandbox of the team, in whatever state. Throws `RECORDS_UNAVAILABLE`. */
export async function findSandbox(
  db: Database,
  teamId: string,
  sandboxId: string,
): Promise<SandboxView | undefined> {
  return await db.run(async (em) => {
    const record = await em.findOne(Sandbox, { id: sandboxId, teamId });
    return record ? viewOf(record) : undefined;
  });
}

/** Sandboxes of a host of which nothing was heard since `since`. See `Records`. Throws `RECORDS_UNAVAILABLE`. */
export async function unchangedSandboxes(
  db: Database,
  hostId: string,
  since: Date,
  { limit, afterId }: Parameters<Records['unchangedSandboxes']>[2],
): Promise<SandboxView[]> {
  return await db.run(async (em) => {
    const query = em
      .createQueryBuilder(Sandbox)
      .where({ hostId, state: { $nin: GONE }, updatedAt: { $lt: since } })
      .orderBy({ id: 'asc' })
      .limit(limit);
    if (afterId !== undefined) query.andWhere({ id: { $gt: afterId } });
    return (await query.getResultList()).map(viewOf);
  });
}
