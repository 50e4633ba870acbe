import { readFile, rm } from 'node:fs/promises';
import t from 'tap';
import { hashOfKey, newApiKey } from '../../src/api-key.ts';
import { systemClock } from '../../src/clock.ts';
import { loadConfig } from '../../src/config/config.ts';
import { DEFAULT_TEAM_ID } from '../../src/ids.ts';
import { pathsOf } from '../../src/paths.ts';
import { ensureFirstKey, ensureSetKey } from '../../src/roles/api-key.ts';
import { temporaryFolder } from '../cli/support.ts';
import { silentLog } from '../support/nats.ts';
import { startTestRecords } from '../support/records.ts';

const { records, sql } = await startTestRecords(t);

const portsOf = (dataDir: string, apiKey?: string) => ({
  config: loadConfig(apiKey === undefined ? {} : { DORMOUSE_API_KEY: apiKey }),
  paths: pathsOf(dataDir),
  clock: systemClock,
  log: silentLog,
  version: '1',
});
const keys = () => records.listKeys(DEFAULT_TEAM_ID);
const idOf = async (key: string): Promise<string> => {
  const [row] = await sql<{ id: string }>('select id from api_keys where hash = ?', [hashOfKey(key)]);
  return row?.id ?? '';
};

t.test('an edge makes no key by itself, and makes sure of the one that is set', async (t) => {
  for (const _ of [1, 2]) await ensureSetKey(records, portsOf(await temporaryFolder(t)));
  t.same(await keys(), []);
  t.ok(await records.findTeam(DEFAULT_TEAM_ID), 'the team is there');
  const key = newApiKey();
  for (const _ of [1, 2]) await ensureSetKey(records, portsOf(await temporaryFolder(t), key));
  t.equal((await keys()).length, 1);
  t.ok(await records.keyLives(hashOfKey(key)));
  await sql('delete from api_keys');
});

t.test('all in one makes a key when nobody can get in, and no other time', async (t) => {
  const dataDir = await temporaryFolder(t);
  const ports = portsOf(dataDir);
  const made = await ensureFirstKey(records, ports);
  const key = made.key ?? '';
  t.ok(await records.keyLives(hashOfKey(key)));
  t.equal(await readFile(ports.paths.apiKey, 'utf8'), `${key}\n`);
  t.same(await ensureFirstKey(records, ports), { key }, 'the next start shows the same');
  const [{ lastUsedAt } = {}] = await keys();
  t.equal(lastUsedAt, null, 'a start is no use of it');

  const other = portsOf(await temporaryFolder(t));
  const none = await ensureFirstKey(records, other);
  t.match(none, { key: undefined, why: 'the database has keys already' });
  await t.rejects(readFile(other.paths.apiKey), 'and none is kept');
  t.equal((await keys()).length, 1);

  const mine = newApiKey();
  t.same(await ensureFirstKey(records, portsOf(dataDir, mine)), { key: mine }, 'one that is set is added');
  await records.revokeKey(DEFAULT_TEAM_ID, await idOf(key));
  const revoked = await ensureFirstKey(records, ports);
  t.equal(revoked.key, undefined, 'a revoked one is not shown');
  t.match(revoked, {
    why: new RegExp(`${ports.paths.apiKey} is not known, or it was revoked or has expired`),
  });
  t.equal((await keys()).length, 2, 'and none is made while another one lives');

  await records.revokeKey(DEFAULT_TEAM_ID, await idOf(mine));
  t.match(await ensureFirstKey(records, portsOf(dataDir, mine)), { key: undefined, why: /DORMOUSE_API_KEY/ });
  const anew = await ensureFirstKey(records, ports);
  t.ok(anew.key && anew.key !== key, 'without any a new one is the way in');
  t.equal(await readFile(ports.paths.apiKey, 'utf8'), `${anew.key}\n`);
  t.same(await ensureFirstKey(records, ports), anew);

  await sql('delete from api_keys');
  t.same(await ensureFirstKey(records, ports), anew, 'new records take the key that is kept');
  await sql(`update api_keys set expires_at = now() - interval '1 second'`);
  t.not((await ensureFirstKey(records, ports)).key, anew.key, 'an expired one is as a revoked one');

  await sql(`update api_keys set scopes = '{read}'`);
  await rm(ports.paths.apiKey);
  t.ok((await ensureFirstKey(records, ports)).key, 'a key that may only read is no way in');
});
