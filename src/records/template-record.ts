import type { TemplateDetails, TemplateInfo } from '../actors/host/template-protocol.ts';
import type { TemplateRecord } from './types.ts';

/** What a host tells of its templates, in the words of the records. */

/** All of a template. */
export function templateRecordOf(details: TemplateDetails): TemplateRecord {
  return {
    ...templateSizesOf(details),
    id: details.id,
    teamId: details.team_id,
    name: details.name,
    kind: details.kind,
    memory: details.memory,
    user: details.user,
    cwd: details.cwd,
    env: details.env,
    startCmd: details.start_cmd,
    readyCmd: details.ready_cmd,
    sourceSandboxId: details.source_sandbox_id,
    hostId: details.host_id,
    createdAt: new Date(details.created_at),
  };
}

/** What can change while a template stays what it is: its image is expanded, booted states come. */
export function templateSizesOf(template: TemplateInfo) {
  return {
    sizeMb: template.size_mb,
    allocatedBytes: template.allocated_bytes,
    vcpus: template.vcpus,
    memoryMb: template.memory_mb,
    diskSizeMb: template.disk_size_mb,
  };
}
