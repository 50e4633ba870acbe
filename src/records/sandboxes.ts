import type { SandboxView } from '../actors/sandbox/protocol.ts';
import { Sandbox } from '../entities/index.ts';
import { DormouseError } from '../errors/index.ts';
import { decodeCursor, encodeCursor } from './cursor.ts';
import type { Database } from './database.ts';
import { rowOf, viewOf } from './sandbox-row.ts';
import { requireStorable } from './storable.ts';
import type { NewSandboxRecord, Page, SandboxFilter } from './types.ts';

/** States of sandboxes that are no more, which lists leave out unless they are asked for. */
const GONE = ['destroyed', 'failed'];

/**
 * One page of a team's sandboxes, newest first. Pages are cut at a sandbox and not at a count, so that what is made
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

/**
 * Writes the record of a sandbox that is about to be made, unless there is one with its id.
 *
 * @throws `IDEMPOTENCY_KEY_REUSED` when the one that is there was made by another request, `INVALID_REQUEST` for a text
 * that cannot be stored, `RECORDS_UNAVAILABLE`
 */
export async function claimSandbox(
  db: Database,
  { view, idempotencyKey, requestHash }: NewSandboxRecord,
): Promise<{ created: boolean; view: SandboxView }> {
  requireStorable(view, 'The sandbox');
  const row = { ...rowOf(view), idempotencyKey: idempotencyKey ?? null, requestHash };
  return await db.run(async (em) => {
    for (;;) {
      const { affectedRows } = await em
        .createQueryBuilder(Sandbox)
        .insert(row)
        .onConflict('id')
        .ignore()
        .execute('run');
      if (affectedRows > 0) return { created: true, view };
      const existing = await em.findOne(Sandbox, { id: view.id }, { refresh: true });
      // It was taken back between the two statements.
      if (!existing) continue;
      if (existing.teamId !== view.team_id)
        throw new DormouseError('INTERNAL', `The id ${view.id} is taken by another team.`);
      if (existing.requestHash && existing.requestHash !== requestHash)
        throw new DormouseError(
          'IDEMPOTENCY_KEY_REUSED',
          'The idempotency key belongs to a create with another body. Use a new key for a new sandbox.',
          { data: { sandbox_id: view.id } },
        );
      return { created: false, view: viewOf(existing) };
    }
  });
}

/** Removes the record of a sandbox that never had a transition. Throws `RECORDS_UNAVAILABLE`. */
export async function unclaimSandbox(db: Database, sandboxId: string): Promise<void> {
  await db.run((em) => em.nativeDelete(Sandbox, { id: sandboxId, seq: 0 }));
}
