export { openRecords } from './open.ts';
export type {
  AuditEntry,
  FleetRow,
  Key,
  NewSandboxRecord,
  Page,
  Principal,
  Quota,
  Records,
  SandboxFilter,
  Scope,
  Team,
  TemplateKind,
  TemplateRecord,
  Usage,
  UsualDuration,
} from './types.ts';
