import type { Static } from 'typebox';
import type { AuditEntry, Key, Quota, Team, Usage } from '../../../records/types.ts';
import type * as schemas from '../../admin-schemas.ts';

/** Records as those see them who look after the installation. */

export function presentTeam({
  id,
  name,
  quota,
  usage,
  createdAt,
}: Team & { usage: Usage }): Static<typeof schemas.Team> {
  return {
    id,
    name,
    quota: {
      sandboxes: quota.sandboxes,
      vcpus: quota.vcpus,
      memory_mb: quota.memoryMb,
      disk_mb: quota.diskMb,
    },
    usage: {
      sandboxes: usage.sandboxes,
      vcpus: usage.vcpus,
      memory_mb: usage.memoryMb,
      disk_mb: usage.diskMb,
    },
    created_at: createdAt.toISOString(),
  };
}

/** The limits that a request names, as the records have them. */
export function quotaOf(given: Partial<Static<typeof schemas.Quota>>): Partial<Quota> {
  return {
    ...(given.sandboxes !== undefined && { sandboxes: given.sandboxes }),
    ...(given.vcpus !== undefined && { vcpus: given.vcpus }),
    ...(given.memory_mb !== undefined && { memoryMb: given.memory_mb }),
    ...(given.disk_mb !== undefined && { diskMb: given.disk_mb }),
  };
}

export function presentKey(key: Key): Static<typeof schemas.ApiKey> {
  return {
    id: key.id,
    team_id: key.teamId,
    name: key.name,
    prefix: key.prefix,
    scopes: key.scopes,
    created_at: key.createdAt.toISOString(),
    last_used_at: key.lastUsedAt?.toISOString() ?? null,
    expires_at: key.expiresAt?.toISOString() ?? null,
    revoked_at: key.revokedAt?.toISOString() ?? null,
  };
}

export function presentAudit(entry: AuditEntry): Static<typeof schemas.AuditEntry> {
  return {
    id: entry.id,
    at: entry.at.toISOString(),
    team_id: entry.teamId,
    key_id: entry.keyId,
    address: entry.address,
    action: entry.action,
    target: entry.target,
    status: entry.status,
    code: entry.code,
  };
}
