import { readFile } from 'node:fs/promises';
import { hashOfKey, keyOfFile, newApiKey, storedKey } from '../api-key.ts';
import { writeFileDurably } from '../durable-file.ts';
import { DEFAULT_TEAM_ID } from '../ids.ts';
import type { Records } from '../records/types.ts';
import type { RolePorts } from './context.ts';

const DEFAULT_TEAM_NAME = 'default';

/** The key by which people get in first, or why there is none to show. */
export type FirstKey = { key: string } | { key: undefined; why: string };

/**
 * Makes sure of the default team, and of the key that is set. An edge makes no key by itself: nobody would be told it, and each
 * new edge would add another one.
 */
export async function ensureSetKey(records: Records, { config, log }: RolePorts): Promise<void> {
  await records.ensureTeam(DEFAULT_TEAM_ID, DEFAULT_TEAM_NAME);
  if (config.apiKey === undefined) return;
  await ensure(records, config.apiKey);
  if (!(await records.keyLives(hashOfKey(config.apiKey))))
    log.warn('the key of DORMOUSE_API_KEY was revoked or has expired: nobody gets in with it');
}

/**
 * Makes sure of the default team and of a way in: by the key that is set, else by the one in the data directory. When there is
 * none and no key of any team may do everything, a new one is made and kept there, readable by its owner only.
 *
 * @throws `CONFIG_INVALID` when the file in the data directory holds no key
 */
export async function ensureFirstKey(records: Records, ports: RolePorts): Promise<FirstKey> {
  const { config, paths } = ports;
  await ensureSetKey(records, ports);
  const lives = (key: string): Promise<boolean> => records.keyLives(hashOfKey(key));
  if (config.apiKey !== undefined)
    return (await lives(config.apiKey))
      ? { key: config.apiKey }
      : { key: undefined, why: 'the one of DORMOUSE_API_KEY was revoked or has expired' };

  const kept = await keptKey(paths.apiKey);
  if (kept !== undefined && (await lives(kept))) return { key: kept };
  if (await records.hasLivingKey('admin')) {
    const why =
      kept === undefined
        ? 'the database has keys already'
        : `the one in ${paths.apiKey} is not known, or it was revoked or has expired`;
    return { key: undefined, why };
  }
  // One that these records never had: they are new.
  if (kept !== undefined && (await ensure(records, kept))) return { key: kept };
  const key = newApiKey();
  // First the file: a key that nobody is told would keep the next start from making one.
  await writeFileDurably(paths.apiKey, `${key}\n`, 0o600);
  await ensure(records, key);
  return { key };
}

/** Adds the key, which may do everything, unless it is there. True when it was added. */
async function ensure(records: Records, key: string): Promise<boolean> {
  const { hash, prefix } = storedKey(key);
  return await records.ensureKey({
    teamId: DEFAULT_TEAM_ID,
    teamName: DEFAULT_TEAM_NAME,
    keyHash: hash,
    prefix,
    name: 'first key',
    scopes: ['read', 'write', 'admin'],
  });
}

async function keptKey(file: string): Promise<string | undefined> {
  const kept = await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return '';
    throw error;
  });
  return keyOfFile(file, kept);
}
