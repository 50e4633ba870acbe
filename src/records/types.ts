import type { SandboxState, SandboxTransition, SandboxView } from '../actors/sandbox/protocol.ts';

/** What the edge, the scheduler and the projector know of the database. Implemented over MikroORM and PostgreSQL. */

export type Scope = 'read' | 'write' | 'admin';

/** Who sends a request. */
export interface Principal {
  keyId: string;
  /** What people call the key; null for whoever needs none. */
  keyName: string | null;
  teamId: string;
  scopes: readonly Scope[];
  /** When the key stops to work; null for never. */
  expiresAt: Date | null;
}

export interface SandboxFilter {
  teamId: string;
  /** Only these states; without it all but `destroyed` and `failed`. */
  states?: readonly SandboxState[];
  /** Only sandboxes that carry all these labels. */
  metadata?: Readonly<Record<string, string>>;
  /** From 1 to 200. */
  limit: number;
  /** `next_cursor` of the page before. Throws `INVALID_REQUEST` when it is not one. */
  cursor?: string;
}

export interface Page<T> {
  items: T[];
  /** Null on the last page. */
  nextCursor: string | null;
}

export interface NewSandboxRecord {
  view: SandboxView;
  idempotencyKey: string | undefined;
  /** SHA-256 of the canonical request body, hexadecimal: the same key with another request is an error. */
  requestHash: string;
}

/**
 * Cause of a transition that no host told: the projector infers that the sandbox is lost. No actor has this cause.
 * See `Records.applyTransition`.
 */
export const LOST = 'lost';

export type TemplateKind = 'base' | 'snapshot';

/** What is known of a template. Sizes in MiB and bytes as the names say. */
export interface TemplateRecord {
  id: string;
  teamId: string;
  name: string;
  kind: TemplateKind;
  memory: boolean;
  sizeMb: number;
  allocatedBytes: number;
  vcpus: number;
  memoryMb: number;
  diskSizeMb: number;
  user: string | null;
  cwd: string | null;
  env: Record<string, string>;
  startCmd: string | null;
  readyCmd: string | null;
  sourceSandboxId: string | null;
  hostId: string;
  createdAt: Date;
}

/** What a team may have at the same time; null for no limit. Paused sandboxes count as well: each may be resumed at any moment. */
export interface Quota {
  sandboxes: number | null;
  vcpus: number | null;
  memoryMb: number | null;
  diskMb: number | null;
}

/** What a team has now, counted as its quota counts. */
export interface Usage {
  sandboxes: number;
  vcpus: number;
  memoryMb: number;
  diskMb: number;
}

export interface Team {
  id: string;
  name: string;
  quota: Quota;
  createdAt: Date;
}

/** A key without its secret. */
export interface Key {
  id: string;
  teamId: string;
  name: string;
  prefix: string;
  scopes: Scope[];
  createdAt: Date;
  lastUsedAt: Date | null;
  expiresAt: Date | null;
  revokedAt: Date | null;
}

/** Who did what: a request that changes something, after it was answered. */
export interface AuditEntry {
  /** Of the request. */
  id: string;
  at: Date;
  /** Null when the key was not known. */
  teamId: string | null;
  keyId: string | null;
  address: string;
  /** The route's `operationId`, such as `destroySandbox`. */
  action: string;
  /** What it was done to, such as a sandbox id; null where the path names nothing. */
  target: string | null;
  status: number;
  /** Of the error that was answered. */
  code: string | null;
}

/** A sandbox among the others of its team. */
export interface FleetRow {
  id: string;
  /** Empty when no host was chosen yet. */
  hostId: string;
  template: string;
  /** Full value, such as `pausing.snapshotting`. */
  state: string;
  /** When it came into the state. */
  since: Date;
  seq: number;
  execution: number;
  /** How often its step was tried again; null when the host does not tell. */
  tries: number | null;
  /** Of the last operation that failed, until the next one succeeds. */
  errorCode: string | null;
}

/** How long sandboxes stay in a state: percentiles, in milliseconds. */
export interface UsualDuration {
  state: string;
  /** How many stays were looked at. */
  count: number;
  p50Ms: number;
  p95Ms: number;
  p99Ms: number;
}

/** All calls throw `RECORDS_UNAVAILABLE` when the database cannot be reached. */
export interface Records {
  /** The key's owner, or undefined when it is unknown, revoked or expired. `keyHash`: SHA-256 of the whole key, hexadecimal. */
  authenticate(keyHash: string): Promise<Principal | undefined>;

  /** True when the key is known and neither revoked nor expired. It does not count as a use. */
  keyLives(keyHash: string): Promise<boolean>;

  /** True when any team has a key with the scope that is neither revoked nor expired. */
  hasLivingKey(scope: Scope): Promise<boolean>;

  /** Makes sure that the team exists. One that is there keeps its name. */
  ensureTeam(teamId: string, name: string): Promise<void>;

  /** Makes sure that the team exists and has this key. Returns true when the key was added now. */
  ensureKey(key: {
    teamId: string;
    teamName: string;
    keyHash: string;
    prefix: string;
    name: string;
    scopes: readonly Scope[];
  }): Promise<boolean>;

  /** Newest first. */
  listSandboxes(filter: SandboxFilter): Promise<Page<SandboxView>>;

  /** Also finds destroyed and failed ones. */
  findSandbox(teamId: string, sandboxId: string): Promise<SandboxView | undefined>;

  /**
   * Sandboxes of all teams that are said to be on the host, are neither `destroyed` nor `failed`, and have not changed since `since`
   * by the time of their last transition, which the host's clock gave; before the first one, the scheduler's. By id; a page that
   * is shorter than `limit` is the last.
   */
  unchangedSandboxes(
    hostId: string,
    since: Date,
    page: {
      limit: number;
      /** The last id of the page before. */
      afterId?: string;
    },
  ): Promise<SandboxView[]>;

  /** Oldest first, those after `afterSeq`. */
  listTransitions(
    teamId: string,
    sandboxId: string,
    afterSeq: number,
    limit: number,
  ): Promise<SandboxTransition[]>;

  /** Those of all sandboxes of the team, newest first. `cursor`: as for sandboxes. */
  listTeamTransitions(filter: {
    teamId: string;
    limit: number;
    cursor?: string;
  }): Promise<Page<SandboxTransition>>;

  /** Those of the team that no host told, but that were inferred at or after `since`; oldest first. See `LOST`. */
  lostSince(teamId: string, since: Date, limit: number): Promise<SandboxTransition[]>;

  /** The team's sandboxes, those that changed last first: without destroyed ones, and without those that failed before `failedSince`. */
  fleet(teamId: string, filter: { failedSince: Date; limit: number }): Promise<FleetRow[]>;

  /** How long the team's sandboxes stay in each state, by what happened lately. */
  usualDurations(teamId: string): Promise<UsualDuration[]>;

  /**
   * Writes the record of a sandbox that is about to be made. When there is one with this id already, changes nothing and
   * returns it (a repeated create). Throws `IDEMPOTENCY_KEY_REUSED` when that one was made by a different request, and
   * `QUOTA_EXCEEDED` when the team may not have one more: counting and writing are one transaction under the team's row
   * lock, so the quota holds whoever else asks at the same time.
   */
  claimSandbox(record: NewSandboxRecord): Promise<{ created: boolean; view: SandboxView }>;

  /** The same for several at once: all are claimed, or none. Returns them in their order; `created` is false when all were there. */
  claimSandboxes(records: readonly NewSandboxRecord[]): Promise<{ created: boolean; views: SandboxView[] }>;

  /**
   * Counts the sandbox's disk as at least that large from now on, in MiB, and returns what it was counted as. Throws
   * `SANDBOX_NOT_FOUND`, `QUOTA_EXCEEDED`.
   */
  reserveDisk(teamId: string, sandboxId: string, diskSizeMb: number): Promise<number>;

  /** Gives a reservation of `reservedMb` back, unless another one is larger: the disk counts as `diskSizeMb` again. */
  releaseDisk(
    teamId: string,
    sandboxId: string,
    sizes: { reservedMb: number; diskSizeMb: number },
  ): Promise<void>;

  /** Takes back a claim of which no host knows anything. */
  unclaimSandbox(sandboxId: string): Promise<void>;

  /**
   * Stores a transition and the sandbox after it, once: an older or equal `seq` changes nothing. Except that one with the cause
   * `LOST`, which was inferred, gives way to the one with its number that the host told. Returns whether it was new.
   */
  applyTransition(transition: SandboxTransition): Promise<boolean>;

  /** Remembers hosts for people to ask about. */
  upsertHost(host: {
    hostId: string;
    version: string;
    state: string;
    info: unknown;
    seenAt: Date;
  }): Promise<void>;

  /** Stores what is known of a template; an older word (`seenAt`) changes nothing. */
  upsertTemplate(template: TemplateRecord, seenAt: Date): Promise<void>;

  /** Forgets a template of a host, unless something newer than `seenAt` is known of it. */
  removeTemplate(hostId: string, teamId: string, name: string, seenAt: Date): Promise<void>;

  /** The templates of the team and of the platform, by name. */
  listTemplates(teamId: string, kind?: TemplateKind): Promise<TemplateRecord[]>;

  /** Those of all teams, by team and name. */
  listAllTemplates(kind?: TemplateKind): Promise<TemplateRecord[]>;

  /** The team's template of that name, else the platform's. */
  findTemplate(teamId: string, name: string): Promise<TemplateRecord | undefined>;

  /** By name. */
  listTeams(): Promise<Array<Team & { usage: Usage }>>;
  findTeam(teamId: string): Promise<(Team & { usage: Usage }) | undefined>;
  createTeam(team: { name: string; quota: Quota }): Promise<Team>;
  /** Throws `TEAM_NOT_FOUND`. What stands above a lowered quota stays; nothing is added to it. */
  updateTeam(teamId: string, changes: { name?: string; quota?: Partial<Quota> }): Promise<Team>;
  /** With its keys. Throws `TEAM_NOT_FOUND`; `TEAM_IN_USE` while it has sandboxes or templates. */
  deleteTeam(teamId: string): Promise<void>;

  /** Throws `TEAM_NOT_FOUND`. */
  createKey(key: {
    teamId: string;
    hash: string;
    prefix: string;
    name: string;
    scopes: readonly Scope[];
    expiresAt: Date | null;
  }): Promise<Key>;
  /** Newest first, revoked and expired ones too. */
  listKeys(teamId: string): Promise<Key[]>;
  /** One that is revoked stays as it is. Throws `KEY_NOT_FOUND`. */
  revokeKey(teamId: string, keyId: string): Promise<Key>;

  /** Entries that are there already (by `id` and `at`) are left out, so that a batch may be sent again. */
  appendAudit(entries: readonly AuditEntry[]): Promise<void>;
  /** Newest first. `cursor`: as for sandboxes. */
  listAudit(filter: {
    teamId?: string;
    keyId?: string;
    limit: number;
    cursor?: string;
  }): Promise<Page<AuditEntry>>;

  /** Resolves when a query is answered. */
  ping(): Promise<void>;
  close(): Promise<void>;
}
