import { randomUUID } from 'node:crypto';
import { ApiKey, type ApiKeyRecord, Team } from '../entities/index.ts';
import { DormouseError, hasCode } from '../errors/index.ts';
import { PLATFORM_TEAM_ID } from '../ids.ts';
import type { Database, EntityManager } from './database.ts';
import { lockTeam } from './quota.ts';
import { requireStorable } from './storable.ts';
import { teamNotFound } from './teams.ts';
import type { Key, Principal, Records, Scope } from './types.ts';

/** `last_used_at` is exact to this, in milliseconds: one write per key and minute, however many requests. */
const LAST_USED_EVERY_MS = 60_000;

/** Notes uses of keys beside the requests, and is waited for at the end. */
export class KeyUses {
  readonly #db: Database;
  readonly #writing = new Map<string, Promise<void>>();

  constructor(db: Database) {
    this.#db = db;
  }

  /** Writes that the key is used now, unless that was written within the last minute. Returns at once. */
  note(keyId: string, lastUsedAt: Date | null | undefined): void {
    const nowMs = this.#db.clock.nowMs();
    if (this.#writing.has(keyId) || (lastUsedAt && nowMs - lastUsedAt.getTime() < LAST_USED_EVERY_MS)) return;
    const writing = this.#db
      .run(async (em) => void (await em.nativeUpdate(ApiKey, { id: keyId }, { lastUsedAt: new Date(nowMs) })))
      .catch((error: unknown) => {
        if (!hasCode(error, 'RECORDS_UNAVAILABLE'))
          this.#db.log.warn({ err: error, keyId }, 'the use of a key was not noted');
      })
      .finally(() => this.#writing.delete(keyId));
    this.#writing.set(keyId, writing);
  }

  /** Resolves when everything is written. */
  async settled(): Promise<void> {
    await Promise.all(this.#writing.values());
  }
}

/** The owner of a key that is neither unknown nor revoked nor expired. Throws `RECORDS_UNAVAILABLE`. */
export async function authenticate(
  db: Database,
  uses: KeyUses,
  keyHash: string,
): Promise<Principal | undefined> {
  const key = await db.run((em) => em.findOne(ApiKey, { hash: keyHash }));
  if (!key || key.revokedAt) return undefined;
  if (key.expiresAt && key.expiresAt.getTime() <= db.clock.nowMs()) return undefined;
  uses.note(key.id, key.lastUsedAt);
  return {
    keyId: key.id,
    keyName: key.name,
    teamId: key.team.id,
    scopes: key.scopes,
    expiresAt: key.expiresAt ?? null,
  };
}

/** What a key must be to let somebody in. */
function living(db: Database) {
  return {
    revokedAt: null,
    $or: [{ expiresAt: null }, { expiresAt: { $gt: new Date(db.clock.nowMs()) } }],
  };
}

/** Whether the key lets somebody in. It does not count as a use. Throws `RECORDS_UNAVAILABLE`. */
export async function keyLives(db: Database, keyHash: string): Promise<boolean> {
  return (await db.run((em) => em.count(ApiKey, { hash: keyHash, ...living(db) }))) > 0;
}

/** Whether anybody has a key with the scope. Throws `RECORDS_UNAVAILABLE`. */
export async function hasLivingKey(db: Database, scope: Scope): Promise<boolean> {
  return (await db.run((em) => em.count(ApiKey, { scopes: { $contains: [scope] }, ...living(db) }))) > 0;
}

/** Makes sure of a team. */
export async function ensureTeam(em: EntityManager, id: string, name: string): Promise<void> {
  await em.createQueryBuilder(Team).insert({ id, name }).onConflict('id').ignore().execute('run');
}

/** Makes sure of team and key. A key that is there stays as it is, also when it is revoked. Throws `RECORDS_UNAVAILABLE`. */
export async function ensureKey(
  db: Database,
  { teamId, teamName, keyHash, prefix, name, scopes }: Parameters<Records['ensureKey']>[0],
): Promise<boolean> {
  return await db.transaction(async (em) => {
    await ensureTeam(em, teamId, teamName);
    const { affectedRows } = await em
      .createQueryBuilder(ApiKey)
      .insert({ id: randomUUID(), team: teamId, hash: keyHash, prefix, name, scopes: [...scopes] })
      .onConflict('hash')
      .ignore()
      .execute('run');
    return affectedRows > 0;
  });
}

/** A record without its hash. */
function keyOf(record: ApiKeyRecord): Key {
  const { id, team, name, prefix, scopes, createdAt, lastUsedAt, expiresAt, revokedAt } = record;
  return {
    id,
    teamId: team.id,
    name,
    prefix,
    scopes,
    createdAt,
    lastUsedAt: lastUsedAt ?? null,
    expiresAt: expiresAt ?? null,
    revokedAt: revokedAt ?? null,
  };
}

/**
 * Adds a key to a team. The secret itself never comes here.
 *
 * @throws `TEAM_NOT_FOUND`, `INVALID_REQUEST` for the team of the platform and for a name that cannot be stored,
 * `RECORDS_UNAVAILABLE`
 */
export async function createKey(
  db: Database,
  { teamId, hash, prefix, name, scopes, expiresAt }: Parameters<Records['createKey']>[0],
): Promise<Key> {
  if (teamId === PLATFORM_TEAM_ID)
    throw new DormouseError(
      'INVALID_REQUEST',
      'The team of the platform has no keys: what it owns belongs to everybody. A key of any team with the scope "admin" changes its templates, with "?team=platform".',
      { data: { field: 'team' } },
    );
  requireStorable(name, 'The name of the key');
  return await db.transaction(async (em) => {
    // The lock keeps the team from being deleted before the key is there.
    if (!(await lockTeam(em, teamId))) throw teamNotFound(teamId);
    const id = randomUUID();
    await em.insert(ApiKey, {
      id,
      team: teamId,
      hash,
      prefix,
      name,
      scopes: [...scopes],
      createdAt: new Date(db.clock.nowMs()),
      expiresAt,
    });
    return keyOf(await em.findOneOrFail(ApiKey, { id }));
  });
}

/** All keys of the team, newest first, revoked and expired ones too. Throws `RECORDS_UNAVAILABLE`. */
export async function listKeys(db: Database, teamId: string): Promise<Key[]> {
  const records = await db.run((em) =>
    em.find(ApiKey, { team: teamId }, { orderBy: { createdAt: 'desc', id: 'desc' } }),
  );
  return records.map(keyOf);
}

/**
 * Lets a key in no more. One that is revoked already keeps its time.
 *
 * @throws `KEY_NOT_FOUND` when the team has no such key, `RECORDS_UNAVAILABLE`
 */
export async function revokeKey(db: Database, teamId: string, keyId: string): Promise<Key> {
  return await db.run(async (em) => {
    const revokedAt = new Date(db.clock.nowMs());
    await em.nativeUpdate(ApiKey, { id: keyId, team: teamId, revokedAt: null }, { revokedAt });
    const record = await em.findOne(ApiKey, { id: keyId, team: teamId });
    if (!record) throw new DormouseError('KEY_NOT_FOUND', `The team has no key ${keyId}.`);
    return keyOf(record);
  });
}
