import type { SandboxTransition } from '../actors/sandbox/protocol.ts';
import type { Moment } from '../actors/system/inspection.ts';
import { Sandbox, Transition, type TransitionRecord } from '../entities/index.ts';
import { DormouseError } from '../errors/index.ts';
import type { Database, EntityManager } from './database.ts';
import { rowOf } from './sandbox-row.ts';
import { storable } from './storable.ts';
import { LOST } from './types.ts';

/** A transition as the columns of its record. */
function recordOf(transition: SandboxTransition): TransitionRecord {
  return {
    sandboxId: transition.sandbox_id,
    seq: transition.seq,
    v: transition.v,
    teamId: transition.team_id,
    hostId: transition.host_id,
    execution: transition.execution,
    at: new Date(transition.at),
    from: transition.from,
    to: transition.to,
    cause: transition.cause,
    commandId: transition.command_id,
    step: transition.step,
    stepDurationMs: transition.step_duration_ms,
    error: transition.error,
    sandbox: transition.sandbox,
    moment: transition.moment ?? null,
  } as TransitionRecord;
}

/** A record as the transition that was stored. */
export function transitionOf(record: TransitionRecord): SandboxTransition {
  return {
    v: record.v as SandboxTransition['v'],
    sandbox_id: record.sandboxId,
    team_id: record.teamId,
    host_id: record.hostId,
    seq: record.seq,
    execution: record.execution,
    at: record.at.toISOString(),
    from: record.from ?? null,
    to: record.to,
    cause: record.cause,
    command_id: record.commandId ?? null,
    step: record.step ?? null,
    step_duration_ms: record.stepDurationMs ?? null,
    error: record.error ?? null,
    sandbox: record.sandbox as SandboxTransition['sandbox'],
    ...(record.moment != null && { moment: record.moment as Moment }),
  };
}

/**
 * Stores a transition and brings the sandbox's record to it, in one transaction. Events come at least once and may come
 * in any order: each is stored once, and the record only ever moves to a higher number. A sandbox that has no record gets
 * one, so that the records can be built again from the stream.
 *
 * One with the cause `LOST` was not told by a host but inferred, and bears the number that the host's next one would have. When that
 * one comes after all, before or after it, the host's is kept: as if the other had never been.
 *
 * @returns whether the transition was new
 * @throws `INVALID_REQUEST` when the event speaks of two sandboxes, `RECORDS_UNAVAILABLE`
 */
export async function applyTransition(db: Database, told: SandboxTransition): Promise<boolean> {
  const transition = storable(told);
  requireOneSandbox(transition);
  return await db.transaction(async (em) => {
    const { affectedRows } = await insertion(em, transition).execute('run');
    if (affectedRows === 0) return false;
    await moveSandbox(em, transition);
    return true;
  });
}

/** The insertion of a transition that is new, or that takes the place of one that was inferred. */
function insertion(em: EntityManager, transition: SandboxTransition) {
  const record = recordOf(transition);
  const insert = em.createQueryBuilder(Transition).insert(record).onConflict(['sandboxId', 'seq']);
  if (transition.cause === LOST) return insert.ignore();
  const columns = Object.keys(record) as Array<Extract<keyof TransitionRecord, string>>;
  return insert
    .merge(columns.filter((column) => !/^(sandboxId|seq|teamId)$/.test(column)))
    .where({ cause: LOST, teamId: transition.team_id });
}

/** Whose event it is must be told by each part of it: otherwise one team's event would write another team's record. */
function requireOneSandbox({ sandbox_id, team_id, seq, sandbox }: SandboxTransition): void {
  if (sandbox.id !== sandbox_id || sandbox.team_id !== team_id || sandbox.seq !== seq)
    throw new DormouseError('INVALID_REQUEST', 'The event and the sandbox in it do not belong together.', {
      data: { sandbox_id, seq },
    });
}

async function moveSandbox(em: EntityManager, { sandbox, team_id, at }: SandboxTransition): Promise<void> {
  const destroyedAt = sandbox.state === 'destroyed' ? new Date(at) : null;
  const row = { ...rowOf(sandbox), destroyedAt };
  const columns = Object.keys(row) as Array<Extract<keyof typeof row, string>>;
  await em
    .createQueryBuilder(Sandbox)
    .insert(row)
    .onConflict('id')
    .merge(columns.filter((column) => column !== 'id' && column !== 'teamId'))
    // The same number is there only when the transition has taken the place of an inferred one, whose record this was.
    // A sandbox never changes its team, whatever an event says.
    .where({ seq: { $lte: sandbox.seq }, teamId: team_id })
    .execute('run');
}

/** Transitions of the team's sandbox with numbers above `afterSeq`, oldest first. Throws `RECORDS_UNAVAILABLE`. */
export async function listTransitions(
  db: Database,
  teamId: string,
  sandboxId: string,
  afterSeq: number,
  limit: number,
): Promise<SandboxTransition[]> {
  return await db.run(async (em) => {
    const records = await em.find(
      Transition,
      { sandboxId, teamId, seq: { $gt: afterSeq } },
      { orderBy: { seq: 'asc' }, limit },
    );
    return records.map(transitionOf);
  });
}
