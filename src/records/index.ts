export { openRecords } from './open.ts';
export type { NewSandboxRecord, Page, Principal, Records, SandboxFilter, Scope } from './types.ts';
