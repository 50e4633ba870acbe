import { readFile } from 'node:fs/promises';
import { newApiKey, storedKey } from '../api-key.ts';
import { writeFileDurably } from '../durable-file.ts';
import { DEFAULT_TEAM_ID } from '../ids.ts';
import type { Records } from '../records/types.ts';
import type { RolePorts } from './context.ts';

/**
 * Makes sure that the default team has a key: the one that is set, else the one in the data directory, else a new one
 * that is kept there, readable by its owner only. Returns the key itself.
 */
export async function ensureDefaultKey(records: Records, { config, paths }: RolePorts): Promise<string> {
  const key = config.apiKey ?? (await keptKey(paths.apiKey));
  const { hash, prefix } = storedKey(key);
  await records.ensureKey({
    teamId: DEFAULT_TEAM_ID,
    teamName: 'default',
    keyHash: hash,
    prefix,
    name: 'first key',
    scopes: ['read', 'write', 'admin'],
  });
  return key;
}

async function keptKey(file: string): Promise<string> {
  const kept = await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  });
  if (kept) return kept.trim();
  const key = newApiKey();
  await writeFileDurably(file, `${key}\n`, 0o600);
  return key;
}
