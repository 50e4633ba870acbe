import type { Call } from '../../lib/call.ts';
import type { Quota } from '../../lib/types.ts';

/** The requests of those who look after the installation. */

export function createTeamCall(name: string): Call {
  return { name: 'create team', method: 'POST', path: '/v1/admin/teams', body: { name } };
}

export function updateTeamCall(team: string, change: { name: string; quota: Quota }): Call {
  return { name: 'update team', method: 'PATCH', path: `/v1/admin/teams/${team}`, body: change };
}

export function deleteTeamCall(team: string): Call {
  return { name: 'delete team', method: 'DELETE', path: `/v1/admin/teams/${team}` };
}

interface NewKey {
  name: string;
  scopes: string[];
  /** In seconds from now; it has no end when it is absent. */
  expires_in_s?: number;
}

export function createKeyCall(team: string, key: NewKey): Call {
  return { name: 'create key', method: 'POST', path: `/v1/admin/teams/${team}/keys`, body: key };
}

export function revokeKeyCall(team: string, key: string): Call {
  return { name: 'revoke key', method: 'DELETE', path: `/v1/admin/teams/${team}/keys/${key}` };
}
