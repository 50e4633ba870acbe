import { LockMode } from '@mikro-orm/core';
import { GONE, type SandboxView } from '../actors/sandbox/protocol.ts';
import { Sandbox } from '../entities/index.ts';
import { DormouseError } from '../errors/index.ts';
import type { Database, EntityManager } from './database.ts';
import { NOTHING, requireQuota } from './quota.ts';
import { rowOf, viewOf } from './sandbox-row.ts';
import { requireStorable } from './storable.ts';
import type { NewSandboxRecord, Usage } from './types.ts';

/** Sandboxes that are about to be made: their records are written first, within what the team may have. */

/**
 * Writes the record of a sandbox that is about to be made, unless there is one with its id.
 *
 * @throws `IDEMPOTENCY_KEY_REUSED` when the one that is there was made by another request, `QUOTA_EXCEEDED`, `INVALID_REQUEST`
 * for a text that cannot be stored, `RECORDS_UNAVAILABLE`
 */
export async function claimSandbox(
  db: Database,
  record: NewSandboxRecord,
): Promise<{ created: boolean; view: SandboxView }> {
  const { created, views } = await claimSandboxes(db, [record]);
  return { created, view: views[0] ?? record.view };
}

/**
 * The same for several: all of those that are not there are written, or none is.
 *
 * Two of these transactions cannot wait for each other: each writes its records in the order of their ids, and locks the rows of
 * their teams after that, in order, too. Nobody who has a team's lock waits for a record that is being written, for nobody else
 * can see it yet.
 *
 * @throws what `claimSandbox` throws
 */
export async function claimSandboxes(
  db: Database,
  records: readonly NewSandboxRecord[],
): Promise<{ created: boolean; views: SandboxView[] }> {
  for (const { view } of records) requireStorable(view, 'The sandbox');
  return await db.transaction(async (em) => {
    const views = new Map<string, SandboxView>();
    const added = new Map<string, Usage>();
    for (const record of records.toSorted((a, b) => (a.view.id < b.view.id ? -1 : 1))) {
      const { created, view } = await write(em, record);
      views.set(view.id, view);
      if (created) added.set(view.team_id, sum(added.get(view.team_id) ?? NOTHING, view));
    }
    // Only what was written now is counted against the quota: who asks again is answered.
    for (const [teamId, usage] of [...added].sort(([a], [b]) => (a < b ? -1 : 1)))
      await requireQuota(em, teamId, usage);
    return { created: added.size > 0, views: records.map(({ view }) => views.get(view.id) ?? view) };
  });
}

/** Writes one record, or reads the one that is there. */
async function write(
  em: EntityManager,
  { view, idempotencyKey, requestHash }: NewSandboxRecord,
): Promise<{ created: boolean; view: SandboxView }> {
  const row = { ...rowOf(view), idempotencyKey: idempotencyKey ?? null, requestHash };
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
        'The idempotency key belongs to a request with another body. Use a new key for a new request.',
        { data: { sandbox_id: view.id } },
      );
    return { created: false, view: viewOf(existing) };
  }
}

function sum(before: Usage, { vcpus, memory_mb, disk_size_mb }: SandboxView): Usage {
  return {
    sandboxes: before.sandboxes + 1,
    vcpus: before.vcpus + vcpus,
    memoryMb: before.memoryMb + memory_mb,
    diskMb: before.diskMb + disk_size_mb,
  };
}

/** Removes the record of a sandbox that never had a transition, and with it its share of the quota. Throws `RECORDS_UNAVAILABLE`. */
export async function unclaimSandbox(db: Database, sandboxId: string): Promise<void> {
  await db.run((em) => em.nativeDelete(Sandbox, { id: sandboxId, seq: 0 }));
}

/**
 * Counts the sandbox's disk as at least that large from now on. Kept beside the size that its host tells: a transition of the size
 * before may still be on its way. The largest counts: another resize may be under way. So a reservation whose resize never came
 * counts until it is given back by `releaseDisk` or the sandbox is gone.
 *
 * @param diskSizeMb in MiB
 * @returns what it was counted as
 * @throws `SANDBOX_NOT_FOUND`, `QUOTA_EXCEEDED`, `RECORDS_UNAVAILABLE`
 */
export async function reserveDisk(
  db: Database,
  teamId: string,
  sandboxId: string,
  diskSizeMb: number,
): Promise<number> {
  return await db.transaction(async (em) => {
    const where = { id: sandboxId, teamId, state: { $nin: GONE } };
    // Locked, so that the second of two sees what the first has reserved.
    const record = await em.findOne(Sandbox, where, { lockMode: LockMode.PESSIMISTIC_WRITE });
    if (!record) throw new DormouseError('SANDBOX_NOT_FOUND', `There is no sandbox ${sandboxId}.`);
    const before = Math.max(record.diskSizeMb, record.reservedDiskMb ?? 0);
    const reservedDiskMb = Math.max(record.reservedDiskMb ?? 0, diskSizeMb);
    await em.nativeUpdate(Sandbox, { id: sandboxId }, { reservedDiskMb });
    const after = Math.max(record.diskSizeMb, reservedDiskMb);
    await requireQuota(em, teamId, { ...NOTHING, diskMb: after - before });
    return before;
  });
}

/**
 * Gives back what a resize has reserved: the disk counts as `diskSizeMb` again. Nothing changes when another one has reserved more.
 *
 * @param reservedMb what `reserveDisk` was called with, in MiB
 * @throws `RECORDS_UNAVAILABLE`
 */
export async function releaseDisk(
  db: Database,
  teamId: string,
  sandboxId: string,
  { reservedMb, diskSizeMb }: { reservedMb: number; diskSizeMb: number },
): Promise<void> {
  await db.run((em) =>
    em.nativeUpdate(
      Sandbox,
      { id: sandboxId, teamId, reservedDiskMb: reservedMb },
      { reservedDiskMb: diskSizeMb },
    ),
  );
}
