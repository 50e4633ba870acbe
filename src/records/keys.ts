import { randomUUID } from 'node:crypto';
import { ApiKey, Team } from '../entities/index.ts';
import { hasCode } from '../errors/index.ts';
import type { Database } from './database.ts';
import type { Principal, Records } from './types.ts';

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
  return { keyId: key.id, teamId: key.team.id, scopes: key.scopes };
}

/** Makes sure of team and key. A key that is there stays as it is, also when it is revoked. Throws `RECORDS_UNAVAILABLE`. */
export async function ensureKey(
  db: Database,
  { teamId, teamName, keyHash, prefix, name, scopes }: Parameters<Records['ensureKey']>[0],
): Promise<boolean> {
  return await db.transaction(async (em) => {
    await em
      .createQueryBuilder(Team)
      .insert({ id: teamId, name: teamName })
      .onConflict('id')
      .ignore()
      .execute('run');
    const { affectedRows } = await em
      .createQueryBuilder(ApiKey)
      .insert({ id: randomUUID(), team: teamId, hash: keyHash, prefix, name, scopes: [...scopes] })
      .onConflict('hash')
      .ignore()
      .execute('run');
    return affectedRows > 0;
  });
}
