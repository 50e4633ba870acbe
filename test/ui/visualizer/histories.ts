import type { Inspection, Moment } from '../../../src/actors/system/inspection.ts';

/** Histories of sandboxes for tests of the pages. */

export const ERROR = { code: 'SNAPSHOT_FAILED', detail: 'no space', causes: ['ENOSPC'] };

/** A transition, so many milliseconds after the one before; an error in place of a time is that of a step. */
export interface Told {
  from: string | null;
  to: string;
  cause: string;
  afterMs?: number;
  error?: Inspection['error'];
  refused?: string;
  moment?: Moment;
  commandId?: string;
}

const BEGIN_MS = Date.parse('2026-01-01T00:00:00Z');

/** The inspections that these things make, numbered from 1. */
export function historyOf(...told: readonly Told[]): Inspection[] {
  let atMs = BEGIN_MS;
  let seq = 0;
  return told.map(({ from, to, cause, afterMs = 10, error = null, refused, moment, commandId }) => {
    atMs += afterMs;
    if (refused === undefined) seq += 1;
    return {
      v: 1,
      kind: 'sandbox',
      id: 'sb-1',
      team_id: 'tm-1',
      host_id: 'host-1',
      seq,
      execution: 1,
      at: new Date(atMs).toISOString(),
      from,
      to,
      cause,
      command_id: commandId ?? null,
      step: cause.startsWith('step') ? 'someStep' : null,
      step_duration_ms: cause.startsWith('step') ? afterMs : null,
      error,
      refused: refused ?? null,
      allowed: [],
      moment: moment ?? null,
    };
  });
}

export const CREATE: readonly Told[] = [
  { from: null, to: 'creating.disk', cause: 'create', commandId: 'cmd-1' },
  { from: 'creating.disk', to: 'creating.network', cause: 'step.done' },
  { from: 'creating.network', to: 'creating.vm', cause: 'step.done' },
  { from: 'creating.vm', to: 'creating.ready', cause: 'step.done' },
  { from: 'creating.ready', to: 'running', cause: 'step.done' },
];

/** A pause whose save fails; the vCPUs go on. */
export const FAILED_PAUSE: readonly Told[] = [
  { from: 'running', to: 'pausing.draining', cause: 'pause', afterMs: 60_000, commandId: 'cmd-2' },
  { from: 'pausing.draining', to: 'pausing.freezing', cause: 'step.done' },
  { from: 'pausing.freezing', to: 'pausing.snapshotting', cause: 'step.done', afterMs: 20 },
  { from: 'pausing.snapshotting', to: 'pausing.thawing', cause: 'step.failed', afterMs: 60, error: ERROR },
  { from: 'pausing.thawing', to: 'running', cause: 'step.done' },
];

export const REFUSAL: Told = { from: 'running', to: 'running', cause: 'refused', refused: 'resume' };
