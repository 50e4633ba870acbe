import type { TemplateDetails, TemplateInfo } from '../../src/actors/host/template-protocol.ts';
import { PLATFORM_TEAM_ID } from '../../src/ids.ts';

/** A template of the platform as a host tells of it in the directory. */
export function exampleTemplate(overrides: Partial<TemplateInfo> = {}): TemplateInfo {
  return {
    id: 'minimal',
    team_id: PLATFORM_TEAM_ID,
    name: 'minimal',
    kind: 'base',
    memory: false,
    size_mb: 64,
    allocated_bytes: 4_096,
    vcpus: 1,
    memory_mb: 512,
    disk_size_mb: 20_480,
    created_at: '2026-01-01T00:00:00.000Z',
    warm: [],
    ...overrides,
  };
}

/** All of it, as a host answers when it is asked for one. */
export function exampleTemplateDetails(overrides: Partial<TemplateDetails> = {}): TemplateDetails {
  return {
    ...exampleTemplate(),
    host_id: 'h-test',
    user: null,
    cwd: null,
    env: {},
    start_cmd: null,
    ready_cmd: null,
    source_sandbox_id: null,
    ...overrides,
  };
}
