import { ApiKey } from './api-key.ts';
import { AuditRecord } from './audit-record.ts';
import { Host } from './host.ts';
import { Sandbox } from './sandbox.ts';
import { Team } from './team.ts';
import { Template } from './template.ts';
import { Transition } from './transition.ts';

export type { ApiKeyRecord } from './api-key.ts';
export type { SandboxRecord } from './sandbox.ts';
export type { TeamRecord } from './team.ts';
export type { TemplateRow } from './template.ts';
export type { TransitionRecord } from './transition.ts';
export { ApiKey, AuditRecord, Host, Sandbox, Team, Template, Transition };

/** All records. */
export const entities = [Team, ApiKey, Host, Template, Sandbox, Transition, AuditRecord];
