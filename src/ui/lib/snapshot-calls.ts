import type { Call } from './call.ts';

/** What there is to do with snapshots, beside making them. */

/** Lists the snapshots of the team. */
export function listSnapshotsCall(): Call {
  return { name: 'list snapshots', method: 'GET', path: '/v1/snapshots' };
}

/** Removes a snapshot. */
export function deleteSnapshotCall(name: string): Call {
  return { name: 'delete snapshot', method: 'DELETE', path: `/v1/snapshots/${encodeURIComponent(name)}` };
}
