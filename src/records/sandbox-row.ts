import type { SandboxState, SandboxView } from '../actors/sandbox/protocol.ts';
import type { SandboxRecord } from '../entities/index.ts';

/** The columns that a sandbox's view fills: all but those of the create, of a reservation and of the end. */
export type SandboxRow = Omit<
  SandboxRecord,
  'idempotencyKey' | 'requestHash' | 'reservedDiskMb' | 'destroyedAt'
>;

/** A view as the columns of its record. */
export function rowOf(view: SandboxView): SandboxRow {
  return {
    id: view.id,
    teamId: view.team_id,
    hostId: view.host_id,
    template: view.template,
    state: view.state,
    step: view.step,
    vcpus: view.vcpus,
    memoryMb: view.memory_mb,
    diskSizeMb: view.disk_size_mb,
    timeoutS: view.timeout_s,
    onTimeout: view.on_timeout,
    autoResume: view.auto_resume,
    metadata: view.metadata,
    allowed: view.allowed,
    seq: view.seq,
    execution: view.execution,
    lastError: view.last_error,
    createdAt: new Date(view.created_at),
    updatedAt: new Date(view.updated_at),
    expiresAt: view.expires_at === null ? null : new Date(view.expires_at),
  };
}

/** A record as callers see the sandbox. */
export function viewOf(record: SandboxRecord): SandboxView {
  return {
    id: record.id,
    team_id: record.teamId,
    host_id: record.hostId ?? '',
    template: record.template,
    state: record.state as SandboxState,
    step: record.step ?? null,
    vcpus: record.vcpus,
    memory_mb: record.memoryMb,
    disk_size_mb: record.diskSizeMb,
    timeout_s: record.timeoutS,
    on_timeout: record.onTimeout,
    auto_resume: record.autoResume,
    metadata: record.metadata,
    created_at: record.createdAt.toISOString(),
    updated_at: record.updatedAt.toISOString(),
    expires_at: record.expiresAt?.toISOString() ?? null,
    seq: record.seq,
    execution: record.execution,
    last_error: record.lastError ?? null,
    allowed: record.allowed,
  };
}
