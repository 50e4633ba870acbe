import { DormouseError, hasCode, messageOf } from '../../errors/index.ts';
import { newCommandId, newSandboxId, sandboxIdForKey } from '../../ids.ts';
import { type ForkReply, isGone, type SandboxView } from '../sandbox/protocol.ts';
import type { CommandContext } from '../system/command.ts';

import {
  failureOf,
  plannedView,
  refusedByStopping,
  requestHashOf,
  takeBackUnbegun,
  UNDO_LOOK_MS,
  whenUndone,
} from './claims.ts';

import { optionsOf } from './options.ts';
import type { SchedulerPorts } from './ports.ts';
import type { ScheduleFork } from './protocol.ts';

/**
 * Makes copies of a sandbox, on its host, and answers when they run: all of them or none. Their records are written first, within
 * the team's quota. With an idempotency key, the same key of a team is the same forks: a request that comes again waits for them or
 * returns them, as they are now.
 *
 * @throws `SANDBOX_NOT_FOUND`, `QUOTA_EXCEEDED`, `IDEMPOTENCY_KEY_REUSED`, and what the host throws; then no fork is left
 */
export async function fork(
  { team_id: teamId, sandbox_id: sandboxId, count, idempotency_key: key }: ScheduleFork,
  context: CommandContext,
  ports: SchedulerPorts,
): Promise<ForkReply> {
  const original = await ports.find(teamId, sandboxId);
  const ids = Array.from({ length: count }, (_, index) =>
    // No key has a space in it, so these are the ids of no create.
    key === undefined ? newSandboxId() : sandboxIdForKey(teamId, `${key} fork ${index}`),
  );
  if (!original || (isGone(original) && !(await areThere(teamId, ids, ports))))
    throw new DormouseError('SANDBOX_NOT_FOUND', `There is no sandbox ${sandboxId}.`);
  const place = { teamId, hostId: original.host_id, options: optionsOf(original) };
  const nowMs = ports.clock.nowMs();
  const requestHash = requestHashOf({ sandbox_id: sandboxId, count });
  const { created, views } = await ports.claimAll(
    ids.map((id) => ({ view: plannedView(id, place, nowMs), idempotencyKey: key, requestHash })),
  );
  const release = async (): Promise<void> => {
    // Whoever claimed the rest may be waiting for it now.
    if (created) for (const id of ids) await ports.unclaim(id);
  };
  const failure = await failureBefore(views, created, context, ports);
  if (failure) {
    await release();
    // Its host may have died in the middle: those that it had made go on, and nobody would be told of them.
    if (failure.neverRan) for (const view of views) await untilGone(view, context, ports);
    throw failure.error;
  }
  // Its host knows how the fork was answered of which one is on its way, or stranded.
  if (!created && views.every(({ state }) => state !== 'creating' && state !== 'stranded'))
    return { sandboxes: views };
  try {
    return await ports.forkOn(teamId, sandboxId, { ids }, context);
  } catch (error) {
    if (key === undefined && hasCode(error, 'CANCELLED')) await takeBackUnbegun(original.host_id, ids, ports);
    else if (isOver(error)) await release();
    else
      ports.log.info(
        { sandbox: sandboxId, forks: ids, err: messageOf(error) },
        'nobody knows yet what became of the forks',
      );
    throw error;
  }
}

/** Whether a fork with these ids was asked for before: it is answered also when the original is no more. */
async function areThere(teamId: string, ids: readonly string[], { find }: SchedulerPorts): Promise<boolean> {
  for (const id of ids) if (await find(teamId, id)) return true;
  return false;
}

/**
 * How the same fork failed before, if it did. Then one of its sandboxes has failed; or some were made and destroyed again, and of the
 * others there was no record any more.
 */
async function failureBefore(
  views: readonly SandboxView[],
  created: boolean,
  context: CommandContext,
  ports: SchedulerPorts,
): Promise<{ error: DormouseError; neverRan: boolean } | undefined> {
  for (const view of views) {
    const look = (): Promise<SandboxView | undefined> => ports.find(view.team_id, view.id);
    const now = await whenUndone(view, look, context, ports);
    // A fork that was answered for and lost later says nothing of the others: they are somebody's.
    if (now?.state === 'failed')
      return { error: failureOf(now), neverRan: now.last_error?.code !== 'SANDBOX_LOST' };
  }
  const destroyed = created && views.find(({ state }) => state === 'destroyed' || state === 'destroying');
  if (!destroyed) return undefined;
  const detail = 'The fork failed before, and what was made of it was destroyed.';
  return {
    error: new DormouseError('STEP_FAILED', detail, { data: { sandbox_id: destroyed.id } }),
    neverRan: false,
  };
}

/**
 * Waits until a sandbox of a fork that failed is gone, and has it destroyed if it rests. What was only claimed, and its host does not
 * keep, never began.
 *
 * @throws `DEADLINE_EXCEEDED`, `HOST_UNREACHABLE` when the host does not say what it keeps
 */
async function untilGone(
  { team_id: teamId, id, host_id: hostId }: SandboxView,
  { deadlineMs, signal }: CommandContext,
  { find, keptBy, destroyOn, clock, log }: SchedulerPorts,
): Promise<void> {
  for (;;) {
    const view = await find(teamId, id);
    if (!view || isGone(view) || (view.seq === 0 && !(await keptBy(hostId)).has(id))) return;
    if (clock.nowMs() >= deadlineMs)
      throw new DormouseError('DEADLINE_EXCEEDED', 'The fork failed and is being undone.');
    if (!/^(creating|undoing|destroying)$/.test(view.state))
      await destroyOn(teamId, id, { commandId: newCommandId(), deadlineMs, signal }).catch((error: unknown) =>
        log.info(
          { sandbox: id, err: messageOf(error) },
          'the rest of a fork that failed is not destroyed yet',
        ),
      );
    await clock.sleep(UNDO_LOOK_MS, signal);
  }
}

/**
 * Errors that the host has answered with, or that say that nobody heard the command: nothing is left of the forks. What was told of
 * one stays recorded, since only records without a transition are taken back. After the others the forks may be on their way.
 */
function isOver(error: unknown): boolean {
  if (hasCode(error, 'HOST_DRAINING')) return refusedByStopping(error);
  const unknown = ['DEADLINE_EXCEEDED', 'CANCELLED', 'BUS_UNAVAILABLE', 'BAD_REPLY', 'INTERNAL'] as const;
  return !unknown.some((code) => hasCode(error, code));
}
