import type { SandboxState, SandboxTransition, SandboxView } from '../actors/sandbox/protocol.ts';

/** What the edge, the scheduler and the projector know of the database. Implemented over MikroORM and PostgreSQL. */

export type Scope = 'read' | 'write' | 'admin';

/** Who sends a request. */
export interface Principal {
  keyId: string;
  teamId: string;
  scopes: readonly Scope[];
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

/** All calls throw `RECORDS_UNAVAILABLE` when the database cannot be reached. */
export interface Records {
  /** The key's owner, or undefined when it is unknown, revoked or expired. `keyHash`: SHA-256 of the whole key, hexadecimal. */
  authenticate(keyHash: string): Promise<Principal | undefined>;

  /** Makes sure that the default team exists and has this key. Returns true when the key was added now. */
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

  /** Oldest first, those after `afterSeq`. */
  listTransitions(
    teamId: string,
    sandboxId: string,
    afterSeq: number,
    limit: number,
  ): Promise<SandboxTransition[]>;

  /**
   * Writes the record of a sandbox that is about to be made. When there is one with this id already, changes nothing and
   * returns it (a repeated create). Throws `IDEMPOTENCY_KEY_REUSED` when that one was made by a different request.
   */
  claimSandbox(record: NewSandboxRecord): Promise<{ created: boolean; view: SandboxView }>;

  /** Takes back a claim of which no host knows anything. */
  unclaimSandbox(sandboxId: string): Promise<void>;

  /** Stores a transition and the sandbox after it, once: an older or equal `seq` changes nothing. Returns whether it was new. */
  applyTransition(transition: SandboxTransition): Promise<boolean>;

  /** Remembers hosts for people to ask about. */
  upsertHost(host: {
    hostId: string;
    version: string;
    state: string;
    info: unknown;
    seenAt: Date;
  }): Promise<void>;

  upsertTemplate(template: {
    teamId: string;
    name: string;
    sizeMb: number;
    allocatedBytes: number;
    kind: 'base' | 'snapshot';
  }): Promise<void>;
  listTemplates(
    teamId: string,
  ): Promise<
    Array<{ teamId: string; name: string; sizeMb: number; allocatedBytes: number; kind: 'base' | 'snapshot' }>
  >;

  /** Resolves when a query is answered. */
  ping(): Promise<void>;
  close(): Promise<void>;
}
