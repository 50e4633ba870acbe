import { readFile } from 'node:fs/promises';
import { nkeys } from '@nats-io/transport-node';

const EXAMPLE = new URL('../../nats/accounts.example.conf', import.meta.url);

/** The example's accounts with keys whose seeds are known here, by the name in the comment behind each key. */
export async function exampleAccounts(): Promise<{ config: string; seeds: Map<string, Uint8Array> }> {
  const seeds = new Map<string, Uint8Array>();
  const text = await readFile(EXAMPLE, 'utf8');
  const config = text.replaceAll(/U[A-Z2-7]{55}(?= # ([\w-]+)$)/gm, (_key, name: string) => {
    const pair = nkeys.createUser();
    seeds.set(name, pair.getSeed());
    return pair.getPublicKey();
  });
  return { config, seeds };
}
