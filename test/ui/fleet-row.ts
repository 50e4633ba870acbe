import type { FleetRow } from '../../src/ui/lib/types.ts';

/** A sandbox as the fleet tells of it. */
export function exampleRow(id: string, seq: number, state = 'running'): FleetRow {
  return {
    id,
    host_id: 'h-1',
    template: 'minimal',
    state,
    since: '2026-01-01T00:00:00.000Z',
    seq,
    execution: 1,
    tries: null,
    error_code: null,
  };
}
