import { createHash } from 'node:crypto';
import { DormouseError, hasCode, messageOf } from '../../errors/index.ts';
import type { SandboxOptions, SandboxView } from '../sandbox/protocol.ts';
import type { CommandContext } from '../system/command.ts';
import { stableJson } from '../system/fingerprint.ts';
import type { SchedulerPorts } from './ports.ts';

/** What creates and forks have in common: records that are written before a host is asked, and requests that come again. */

/** How often the record of a create that is being undone is looked at, in milliseconds. */
export const UNDO_LOOK_MS = 200;

/** Tells whether an idempotency key comes with the same request again, in whatever order its fields are. */
export function requestHashOf(request: unknown): string {
  return createHash('sha256').update(stableJson(request)).digest('hex');
}

/** A sandbox as it is recorded before its host knows of it. */
export function plannedView(
  id: string,
  place: { teamId: string; hostId: string; options: SandboxOptions },
  nowMs: number,
): SandboxView {
  const now = new Date(nowMs).toISOString();
  return {
    id,
    team_id: place.teamId,
    host_id: place.hostId,
    state: 'creating',
    step: null,
    created_at: now,
    updated_at: now,
    expires_at: null,
    seq: 0,
    execution: 1,
    last_error: null,
    allowed: [],
    ...place.options,
    metadata: place.options.metadata ?? {},
  };
}

/** The record of a sandbox whose create has failed, once its undo is over: only then it is known why. Throws `DEADLINE_EXCEEDED`. */
export async function whenUndone(
  known: SandboxView,
  look: () => Promise<SandboxView | undefined>,
  { deadlineMs, signal }: CommandContext,
  { clock }: SchedulerPorts,
): Promise<SandboxView | undefined> {
  let view: SandboxView | undefined = known;
  while (view?.state === 'undoing') {
    if (clock.nowMs() >= deadlineMs)
      throw new DormouseError(
        'DEADLINE_EXCEEDED',
        'What was asked for failed and is being undone. Ask again with the same key to be told why it failed.',
      );
    await clock.sleep(UNDO_LOOK_MS, signal);
    view = await look();
  }
  return view;
}

/** Why the create of the sandbox failed, as it was answered the first time. */
export function failureOf(view: SandboxView): DormouseError {
  const { code, detail } = view.last_error ?? { code: 'STEP_FAILED', detail: 'The create failed.' };
  return new DormouseError(DormouseError.fromRecord({ code, detail: '' }).code, detail, {
    data: { sandbox_id: view.id },
  });
}

/** Whether a host that stops refused before it had begun anything. An actor that is stopped in the middle says `begun`. */
export function refusedByStopping(error: unknown): boolean {
  return hasCode(error, 'HOST_DRAINING') && error.data?.begun !== true;
}

/**
 * Takes claims back of a create or fork that its caller gave up before the host had begun these sandboxes. To be called only when
 * nobody can ask for them again, so that their records would say `creating` until they count as lost. A host does not begin what
 * was cancelled, so what it does not keep now it will not make; and a claim of which it has told anything stays.
 */
export async function takeBackUnbegun(
  hostId: string,
  ids: readonly string[],
  { keptBy, unclaim, log }: SchedulerPorts,
): Promise<void> {
  try {
    const kept = await keptBy(hostId);
    for (const id of ids) if (!kept.has(id)) await unclaim(id);
  } catch (error) {
    log.info(
      { host: hostId, sandboxes: ids, err: messageOf(error) },
      'nobody knows yet whether what was given up had begun',
    );
  }
}
