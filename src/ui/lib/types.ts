import type { Static } from 'typebox';
import type { HostInfo } from '../../actors/host/protocol.ts';
import type { ExecReply, SandboxOptions, SandboxTransition } from '../../actors/sandbox/protocol.ts';
import type * as admin from '../../http/admin-schemas.ts';
import type * as fleet from '../../http/fleet.ts';
import type * as schemas from '../../http/schemas.ts';
import type { Problem } from './api.ts';

/** What the server answers. Where they can be, the types are those of the schemas that it checks its answers with. */

export type { Holdings, Inspections as RecentInspections } from '../../actors/host/inspection-protocol.ts';
export type { BuildProgress } from '../../actors/host/template-protocol.ts';
export type {
  SandboxState,
  SandboxTransition as Transition,
  SandboxView as Sandbox,
} from '../../actors/sandbox/protocol.ts';
export type { ActorKind, Inspection, Moment } from '../../actors/system/inspection.ts';
/** One sandbox of the fleet, and what the stream of the fleet tells of it. */
export type { FleetChange, FleetRow } from '../../http/fleet.ts';
export type { HostInfo };

/** How long sandboxes usually stay in a state, by its full value. */
export type Usual = Static<typeof fleet.Usual>;

/** `GET /v1/fleet`. */
export interface Fleet {
  /** The server's time. */
  at: string;
  sandboxes: readonly fleet.FleetRow[];
  /** There are more than it tells. */
  truncated: boolean;
  usual: readonly Usual[];
  /** Where the stream goes on. */
  cursor: string;
}

/** `refused` of `GET /v1/fleet/stream`: a command that a sandbox's state did not take. */
export interface FleetRefusal {
  id: string;
  state: string;
  command: string;
  at: string;
}

/** Who the key belongs to, as `GET /v1/me` says. */
export interface Me {
  team_id: string;
  /** Null while the records do not have the team. */
  team_name: string | null;
  scopes: readonly ('read' | 'write' | 'admin')[];
  /** Null where no key is asked for. */
  key_name: string | null;
  auth: 'keys' | 'none';
  /** Of the server. */
  version: string;
}

/** A template or a snapshot. */
export type Template = Static<typeof schemas.Template>;
export type AdminTemplate = Static<typeof schemas.AdminTemplate>;

/** What a create may say; what is left out is the template's. */
export type CreateOptions = Partial<SandboxOptions>;

/** What disks really take, as `GET /v1/usage` says. */
export interface Usage {
  sandboxes: readonly { id: string; allocated_bytes: number }[];
  /** Hosts that did not answer in time: what is there is not told. */
  hosts_missing: readonly string[];
}

/** `GET /v1/events`: newest first. */
export interface EventPage {
  transitions: readonly SandboxTransition[];
  next_cursor: string | null;
}

export type Quota = Static<typeof admin.Quota>;
export type Team = Static<typeof admin.Team>;
export type ApiKey = Static<typeof admin.ApiKey>;
export type AuditEntry = Static<typeof admin.AuditEntry>;

/** A line of an exec whose output comes while it runs; the last one has `result` or `error`. */
export interface ExecLine {
  stream?: 'stdout' | 'stderr';
  data?: string;
  encoding?: 'utf8' | 'base64';
  result?: ExecReply;
  error?: Problem;
}
