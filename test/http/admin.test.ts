import t from 'tap';
import { DormouseError } from '../../src/errors/index.ts';
import { AuditWriter } from '../../src/http/plugins/audit.ts';
import { PLATFORM_TEAM_ID } from '../../src/ids.ts';
import type { AuditEntry } from '../../src/records/types.ts';
import { fakeClock } from '../support/fake-clock.ts';
import { until } from '../support/nats.ts';
import { quiet } from '../support/quiet.ts';
import { readEvents } from './event-reader.ts';
import { addRecord, addSandbox, addScheduler, ask, startWorld } from './support.ts';

const world = await startWorld(t);
const { edge, records } = world;
const admin = await world.newTeam();
const { key } = admin;
await addScheduler(t, world);

const send = async (method: string, path: string, body?: unknown) =>
  await ask(t, edge, method, `/v1/admin/${path}`, { key, ...(body !== undefined && { body }) });

t.test('a team: made, listed, changed, deleted', async (t) => {
  const made = await send('POST', 'teams', { name: 'research', quota: { sandboxes: 2 } });
  t.match(made, {
    status: 201,
    body: { name: 'research', quota: { sandboxes: 2, vcpus: null }, usage: { sandboxes: 0 } },
  });
  const { id } = made.body;
  t.ok((await send('GET', 'teams')).body.teams.some((team: { id: string }) => team.id === id));
  const changed = await send('PATCH', `teams/${id}`, { name: 'science', quota: { vcpus: 4 } });
  t.match(changed.body, { name: 'science', quota: { sandboxes: 2, vcpus: 4, memory_mb: null } });
  t.match((await send('PATCH', `teams/${id}`, { quota: { sandboxes: null } })).body.quota, {
    sandboxes: null,
  });
  await addRecord(records, { id, key: '' }, { vcpus: 2 });
  t.match((await send('GET', `teams/${id}`)).body.usage, { sandboxes: 1, vcpus: 2 });
  t.match((await send('DELETE', `teams/${id}`)).body, { status: 409, code: 'TEAM_IN_USE' });
  const empty = (await send('POST', 'teams', { name: 'empty' })).body;
  t.match((await send('DELETE', `teams/${empty.id}`)).body, { id: empty.id });
  for (const gone of [empty.id, 'x', '%00', '*'])
    t.match((await send('GET', `teams/${gone}`)).body, { status: 404, code: 'TEAM_NOT_FOUND' }, gone);
  for (const body of [
    {},
    { name: '' },
    { name: 'a\u0000' },
    { name: 'a', quota: { sandboxes: -1 } },
    { name: 'a', x: 1 },
  ])
    t.equal((await send('POST', 'teams', body)).status, 400, JSON.stringify(body));
});

t.test('a key: shown once, works with its scopes, and no longer when it is revoked', async (t) => {
  const team = (await send('POST', 'teams', { name: 'keys' })).body;
  const made = await send('POST', `teams/${team.id}/keys`, { name: 'laptop', scopes: ['read'] });
  t.equal(made.status, 201);
  const { key: secret, id, prefix } = made.body;
  t.match(secret, /^dm_[0-9a-f]{40}$/);
  t.equal(prefix, secret.slice(0, 8));
  const list = await send('GET', `teams/${team.id}/keys`);
  t.notMatch(list.text, secret);
  t.match(list.body.keys, [{ id, name: 'laptop', scopes: ['read'], revoked_at: null }]);

  const use = async (method: string, body?: object) =>
    (await ask(t, edge, method, '/v1/sandboxes', { key: secret, ...(body && { body }) })).status;
  t.equal(await use('GET'), 200);
  t.equal(await use('POST', {}), 403);
  const stream = await readEvents(t, edge, '/v1/fleet/stream', { key: secret });
  t.match((await send('DELETE', `teams/${team.id}/keys/${id}`)).body, { id, revoked_at: /Z$/ });
  t.equal(await use('GET'), 401, 'at once, although it was remembered');
  await until(() => stream.isEnded(), 'what it reads ends, too');
  t.match(
    (await send('DELETE', `teams/${admin.id}/keys/${id}`)).body,
    { code: 'KEY_NOT_FOUND' },
    'of another team',
  );
  for (const wrong of ['x', team.id, secret])
    t.match((await send('DELETE', `teams/${team.id}/keys/${wrong}`)).body, { code: 'KEY_NOT_FOUND' });
  t.match((await send('GET', `teams/${id}/keys`)).body, { code: 'TEAM_NOT_FOUND' });
});

t.test('the platform has no keys', async (t) => {
  const made = await send('POST', `teams/${PLATFORM_TEAM_ID}/keys`, { name: 'x', scopes: ['write'] });
  t.match(made.body, { status: 400, code: 'INVALID_REQUEST', detail: /team of the platform.*"admin"/ });
  t.same((await send('GET', `teams/${PLATFORM_TEAM_ID}/keys`)).body, { keys: [] });
});

t.test('a key that has an end; ends that are none', async (t) => {
  const post = async (body: object) =>
    await send('POST', `teams/${admin.id}/keys`, { name: 'x', scopes: ['read'], ...body });
  const { body } = await post({ expires_in_s: 60 });
  t.ok(Math.abs(Date.parse(body.expires_at) - Date.now() - 60_000) < 30_000);
  t.match((await post({ expires_at: '2090-01-31T12:00:00Z' })).body, {
    expires_at: '2090-01-31T12:00:00.000Z',
  });
  for (const wrong of [
    { expires_at: '2001-01-01T00:00:00Z' },
    { expires_at: '2090-13-01T00:00:00Z' },
    { expires_at: 'tomorrow' },
    { expires_in_s: 0 },
    { expires_in_s: 1, expires_at: '2090-01-31T12:00:00Z' },
    { scopes: [] },
    { scopes: ['all'] },
    { scopes: ['read', 'read'] },
  ])
    t.equal((await post(wrong)).status, 400, JSON.stringify(wrong));
});

t.test('deleting a team ends its keys at once', async (t) => {
  const team = (await send('POST', 'teams', { name: 'short' })).body;
  const { key: secret } = (await send('POST', `teams/${team.id}/keys`, { name: 'x', scopes: ['read'] })).body;
  t.equal((await ask(t, edge, 'GET', '/v1/sandboxes', { key: secret })).status, 200);
  t.equal((await send('DELETE', `teams/${team.id}`)).status, 200);
  t.equal((await ask(t, edge, 'GET', '/v1/sandboxes', { key: secret })).status, 401);
});

t.test('templates of all teams', async (t) => {
  t.same((await send('GET', 'templates')).body, { templates: [] });
  t.equal((await send('GET', 'templates?kind=x')).status, 400);
});

t.test('the audit log: what changes something, who did it, and what came of it', async (t) => {
  const team = await world.newTeam();
  const { view } = await addSandbox(world, team);
  const as = { key: team.key };
  await ask(t, edge, 'GET', `/v1/sandboxes/${view.id}`, as);
  await ask(t, edge, 'POST', `/v1/sandboxes/${view.id}/pause`, {
    ...as,
    headers: { 'x-request-id': 'mine' },
  });
  await ask(t, edge, 'POST', '/v1/sandboxes/sb-x%00/pause', { ...as, headers: { 'x-request-id': 'mine' } });
  await ask(t, edge, 'POST', '/v1/sandboxes', { ...as, body: { surprise: 1 } });
  const entriesOf = async () => (await send('GET', `audit?team=${team.id}`)).body.entries;
  await until(async () => (await entriesOf()).length === 3, 'three entries');
  const entries = await entriesOf();
  t.match(entries, [
    { action: 'createSandbox', target: null, status: 400, code: 'INVALID_REQUEST', address: '127.0.0.1' },
    { action: 'pauseSandbox', target: null, status: 404, code: 'SANDBOX_NOT_FOUND' },
    { action: 'pauseSandbox', target: view.id, status: 200, code: null, team_id: team.id },
  ]);
  t.equal(new Set(entries.map(({ id }: { id: string }) => id)).size, 3, 'whatever ids the caller chose');
  const byKey = await send('GET', `audit?key=${entries[0].key_id}&limit=1`);
  t.equal(byKey.body.entries.length, 1);
  t.match((await send('GET', `audit?limit=1&cursor=${byKey.body.next_cursor}`)).status, 200);
  for (const query of ['team=x', 'limit=0', 'cursor=nonsense', 'x=1'])
    t.equal((await send('GET', `audit?${query}`)).status, 400, query);
});

t.test('the audit log: a wrong key is in it while it is looked at; without a key nothing is', async (t) => {
  const own = await world.newEdge();
  const post = async (headers: Record<string, string>, remoteAddress: string) =>
    await own.inject({ method: 'POST', url: '/v1/sandboxes', headers, remoteAddress });
  for (const headers of [{}, { 'x-api-key': '' }, { authorization: 'Basic x' }] as Record<string, string>[])
    t.equal((await post(headers, '10.0.0.1')).statusCode, 401);
  const statuses: number[] = [];
  for (let guess = 0; guess < 40; guess++)
    statuses.push((await post({ 'x-api-key': `guess-${guess}` }, '10.0.0.2')).statusCode);
  t.same([...new Set(statuses)], [401, 429]);
  await own.close();
  const { entries } = (await send('GET', 'audit?limit=200')).body;
  const from = (address: string) => entries.filter((entry: AuditEntry) => entry.address === address);
  t.same(from('10.0.0.1'), []);
  t.equal(from('10.0.0.2').length, statuses.filter((status) => status === 401).length);
  t.match(from('10.0.0.2')[0], { action: 'createSandbox', key_id: null, code: 'UNAUTHENTICATED' });
});

const entryOf = (id: string): AuditEntry => ({
  id,
  at: new Date(0),
  teamId: null,
  keyId: null,
  address: '::1',
  action: 'x',
  target: null,
  status: 200,
  code: null,
});

t.test('entries wait while the records are away, and are written before the end', async (t) => {
  const written: string[] = [];
  let isAway = true;
  const appendAudit = async (entries: readonly AuditEntry[]) => {
    if (isAway) throw new DormouseError('RECORDS_UNAVAILABLE', 'Away.');
    written.push(...entries.map(({ id }) => id));
  };
  const clock = fakeClock();
  const writer = new AuditWriter({ appendAudit }, clock, quiet);
  writer.add(entryOf('a'));
  writer.add(entryOf('b'));
  clock.advance(10_000);
  await until(() => clock.armed().length > 0, 'it will be tried again');
  t.same(written, []);
  isAway = false;
  clock.advance(10_000);
  await until(() => written.length === 2, 'both are written');
  for (let count = 0; count < 450; count++) writer.add(entryOf(String(count)));
  await writer.close();
  t.equal(written.length, 452);
  t.equal(clock.armed().length, 0, 'no timer is left');
});

t.test(
  'entries that the records refuse, and those that they cannot take at the end, go to the log',
  async (t) => {
    const logged: unknown[] = [];
    const log = {
      ...quiet,
      error: (line: { audit?: AuditEntry }) => line.audit && logged.push(line.audit.id),
    };
    const refusing = async () => {
      throw new DormouseError(logged.length === 0 ? 'INVALID_REQUEST' : 'RECORDS_UNAVAILABLE', 'No.');
    };
    const clock = fakeClock();
    const writer = new AuditWriter({ appendAudit: refusing }, clock, log as unknown as typeof quiet);
    writer.add(entryOf('a'));
    clock.advance(10_000);
    await until(() => logged.length === 1, 'it is in the log');
    writer.add(entryOf('b'));
    await writer.close();
    t.same(logged, ['a', 'b']);
  },
);
