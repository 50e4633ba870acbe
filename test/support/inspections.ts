import type { Inspected } from '../../src/actors/system/inspect.ts';
import type { Inspection } from '../../src/actors/system/inspection.ts';

/** An inspection as somebody who looks at the actor gets it. */
export function exampleInspection(actor: Inspected, changes: Partial<Inspection> = {}): Inspection {
  const isSandbox = actor.kind === 'sandbox';
  return {
    v: 1,
    kind: actor.kind,
    id: isSandbox ? actor.id : actor.hostId,
    team_id: isSandbox ? actor.teamId : null,
    host_id: isSandbox ? 'h-test' : actor.hostId,
    seq: 1,
    execution: isSandbox ? 1 : null,
    at: '2026-01-01T00:00:00.000Z',
    from: null,
    to: 'running',
    cause: 'create',
    command_id: null,
    step: null,
    step_duration_ms: null,
    error: null,
    refused: null,
    allowed: [],
    moment: { context: { tries: 0 }, ledger: [], timers: [] },
    ...changes,
  };
}
