import type { Static } from 'typebox';
import type * as schemas from '../http/admin-schemas.ts';
import type { AdminTemplate } from '../http/schemas.ts';
import type { Scope } from '../records/types.ts';
import { Api } from './api.ts';

export type TeamView = Static<typeof schemas.Team>;
export type QuotaView = Static<typeof schemas.Quota>;
export type KeyView = Static<typeof schemas.ApiKey>;
export type AuditView = Static<typeof schemas.AuditEntry>;
export type AdminTemplateView = Static<typeof AdminTemplate>;

/** Largest page that the edge gives. */
const PAGE_SIZE = 200;

/** The edge's routes under /v1/admin as functions. What they throw: see `Api`. */
export class AdminClient extends Api {
  async teams(): Promise<TeamView[]> {
    return (await this.json<{ teams: TeamView[] }>('GET', '/v1/admin/teams')).teams;
  }

  createTeam(name: string, quota: Partial<QuotaView>): Promise<TeamView> {
    return this.json('POST', '/v1/admin/teams', { body: { name, quota } });
  }

  team(id: string): Promise<TeamView> {
    return this.json('GET', teamPath(id));
  }

  updateTeam(id: string, changes: { name?: string; quota?: Partial<QuotaView> }): Promise<TeamView> {
    return this.json('PATCH', teamPath(id), { body: changes });
  }

  deleteTeam(id: string): Promise<TeamView> {
    return this.json('DELETE', teamPath(id));
  }

  async keys(teamId: string): Promise<KeyView[]> {
    return (await this.json<{ keys: KeyView[] }>('GET', `${teamPath(teamId)}/keys`)).keys;
  }

  /** Makes a key. The answer has the key itself, which nobody shows again. */
  createKey(
    teamId: string,
    body: { name: string; scopes: Scope[]; expires_at?: string; expires_in_s?: number },
  ): Promise<KeyView & { key: string }> {
    return this.json('POST', `${teamPath(teamId)}/keys`, { body });
  }

  revokeKey(teamId: string, keyId: string): Promise<KeyView> {
    return this.json('DELETE', `${teamPath(teamId)}/keys/${encodeURIComponent(keyId)}`);
  }

  async templates(): Promise<AdminTemplateView[]> {
    return (await this.json<{ templates: AdminTemplateView[] }>('GET', '/v1/admin/templates')).templates;
  }

  /** The newest entries, newest first, from as many pages as that takes. */
  async audit(filter: { team?: string; key?: string }, count: number): Promise<AuditView[]> {
    const entries: AuditView[] = [];
    const query = new URLSearchParams(filter);
    while (entries.length < count) {
      query.set('limit', String(Math.min(PAGE_SIZE, count - entries.length)));
      const page = await this.json<{ entries: AuditView[]; next_cursor: string | null }>(
        'GET',
        `/v1/admin/audit?${query}`,
      );
      entries.push(...page.entries);
      if (!page.next_cursor) break;
      query.set('cursor', page.next_cursor);
    }
    return entries;
  }
}

function teamPath(id: string): string {
  return `/v1/admin/teams/${encodeURIComponent(id)}`;
}
