import type { SandboxTransition } from '../actors/sandbox/protocol.ts';
import { Transition } from '../entities/index.ts';
import { decodeCursor, encodeCursor } from './cursor.ts';
import type { Database } from './database.ts';
import { transitionOf } from './transitions.ts';
import { LOST, type Page, type Records } from './types.ts';

/** What happened to all sandboxes of a team. */

/** What the id of a transition looks like in a cursor: of which sandbox it is, and its number. */
const TRANSITION_CURSOR = /^sb-[a-z2-7]{1,64}:\d{1,10}$/;

/**
 * One page of the team's transitions, newest first. Those of one millisecond are in the order of their sandboxes' ids.
 *
 * @throws `INVALID_REQUEST` for a cursor that is none, `RECORDS_UNAVAILABLE`
 */
export async function listTeamTransitions(
  db: Database,
  { teamId, limit, cursor }: Parameters<Records['listTeamTransitions']>[0],
): Promise<Page<SandboxTransition>> {
  const after = cursor === undefined ? undefined : decodeCursor(cursor, TRANSITION_CURSOR);
  return await db.run(async (em) => {
    const query = em
      .createQueryBuilder(Transition, 't')
      .where({ teamId })
      .orderBy({ at: 'desc', sandboxId: 'desc', seq: 'desc' })
      // One more than a page tells whether there is another.
      .limit(limit + 1);
    if (after) {
      const [sandboxId, seq] = after.id.split(':');
      query.andWhere('(t.at, t.sandbox_id, t.seq) < (?, ?, ?)', [after.createdAt, sandboxId, Number(seq)]);
    }
    const found = await query.getResultList();
    const page = found.slice(0, limit);
    const last = page.at(-1);
    return {
      items: page.map(transitionOf),
      nextCursor:
        found.length > page.length && last
          ? encodeCursor({ createdAt: last.at, id: `${last.sandboxId}:${last.seq}` })
          : null,
    };
  });
}

/** The team's sandboxes that were inferred to be lost since then, oldest first. Throws `RECORDS_UNAVAILABLE`. */
export async function lostSince(
  db: Database,
  teamId: string,
  since: Date,
  limit: number,
): Promise<SandboxTransition[]> {
  return await db.run(async (em) => {
    const found = await em.find(
      Transition,
      { teamId, at: { $gte: since }, cause: LOST },
      { orderBy: { at: 'asc', sandboxId: 'asc' }, limit },
    );
    return found.map(transitionOf);
  });
}
