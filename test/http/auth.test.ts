import { createHash } from 'node:crypto';
import t from 'tap';
import { type Clock, systemClock } from '../../src/clock.ts';
import { DormouseError } from '../../src/errors/index.ts';
import { KeyCache } from '../../src/http/plugins/key-cache.ts';
import type { Principal, Scope } from '../../src/records/types.ts';
import { quiet } from '../support/quiet.ts';
import { addKey, addSandbox, addScheduler, ask, type OpenapiDocument, startWorld } from './support.ts';

const world = await startWorld(t);
const { records, postgres } = world;
await addScheduler(t, world);

t.test('a key is taken from either header; without one, or with a wrong one, it is 401', async (t) => {
  const { edge } = world;
  const { key } = await world.newTeam();
  const url = '/v1/sandboxes';
  const good: Array<Record<string, string>> = [
    { authorization: `Bearer ${key}` },
    { authorization: `bearer  ${key}` },
    { 'x-api-key': key },
  ];
  for (const headers of good)
    t.equal((await ask(t, edge, 'GET', url, { headers })).status, 200, JSON.stringify(headers));
  const bad: Array<Record<string, string>> = [
    {},
    { authorization: key },
    { authorization: `Basic ${key}` },
    { authorization: 'Bearer' },
    { 'x-api-key': '' },
    { 'x-api-key': `${key}x` },
    { 'x-api-key': 'x'.repeat(5000) },
  ];
  for (const headers of bad) {
    const answer = await ask(t, edge, 'GET', url, { headers });
    t.match(answer.body, { status: 401, code: 'UNAUTHENTICATED' }, JSON.stringify(headers).slice(0, 60));
    t.match(answer.headers['www-authenticate'], /^Bearer/);
    t.notMatch(answer.text, key);
  }
});

t.test('a key is asked for before the body is looked at', async (t) => {
  const answer = await ask(t, world.edge, 'POST', '/v1/sandboxes', { body: '{"broken' });
  t.equal(answer.status, 401);
});

t.test('each route takes keys with its scope and no other', async (t) => {
  const { edge } = world;
  const document = edge.swagger() as unknown as OpenapiDocument;
  const scopes: Scope[] = ['read', 'write', 'admin'];
  const owner = await world.newTeam();
  const { view } = await addSandbox(world, owner);
  const keys = new Map<Scope, string>();
  for (const scope of scopes) {
    const key = `dm_${scope}_${owner.id}`;
    await addKey(records, { id: owner.id, key }, [scope]);
    keys.set(scope, key);
  }
  for (const [path, operations] of Object.entries(document.paths)) {
    if (!path.startsWith('/v1')) continue;
    for (const method of Object.keys(operations)) {
      const ordinary: Scope = method === 'get' ? 'read' : 'write';
      const allowed: Scope = path.startsWith('/v1/admin') ? 'admin' : ordinary;
      const takesAny = path === '/v1/me';
      for (const scope of scopes) {
        const url = path.replace('{id}', view.id).replace(/\{\w+\}/g, 'x');
        const answer = await ask(t, edge, method.toUpperCase(), url, {
          key: keys.get(scope),
          ...((method === 'post' || method === 'patch') && { body: '[]' }),
        });
        if (takesAny || scope === allowed) t.not(answer.status, 403, `${method} ${path} takes ${scope}`);
        else
          t.match(
            answer.body,
            { status: 403, code: 'FORBIDDEN', scope: allowed },
            `${method} ${path}, not ${scope}`,
          );
      }
    }
  }
});

t.test('guessing from one address is slowed down; keys that worked lately still do', async (t) => {
  const edge = await world.newEdge();
  const { key } = await world.newTeam();
  const newcomer = await world.newTeam();
  t.equal((await ask(t, edge, 'GET', '/v1/sandboxes', { key })).status, 200);
  let answer = await ask(t, edge, 'GET', '/v1/sandboxes', { key: 'guess-0' });
  let tries = 1;
  for (; answer.status === 401 && tries < 200; tries++)
    answer = await ask(t, edge, 'GET', '/v1/sandboxes', { key: `guess-${tries}` });
  t.match(answer.body, { status: 429, code: 'RATE_LIMITED', retryable: true }, `after ${tries} tries`);
  t.match(answer.headers['retry-after'], /^[1-9]\d*$/);
  t.equal((await ask(t, edge, 'GET', '/v1/sandboxes', { key })).status, 200, 'a known key');
  t.equal((await ask(t, edge, 'GET', '/v1/sandboxes', { key: newcomer.key })).status, 429, 'a new one');
  const elsewhere = await edge.inject({
    url: '/v1/sandboxes',
    headers: { 'x-api-key': newcomer.key, 'x-forwarded-for': '10.0.0.9' },
  });
  t.equal(elsewhere.statusCode, 429, 'a header does not change the address');
  const other = await edge.inject({
    url: '/v1/sandboxes',
    headers: { 'x-api-key': newcomer.key },
    remoteAddress: '10.0.0.9',
  });
  t.equal(other.statusCode, 200, 'another address');
});

t.test('behind a trusted proxy callers are told apart by what it says, and by nobody else', async (t) => {
  const edge = await world.newEdge({ trustedProxies: ['10.1.0.0/16', 'fd00::1'] });
  const from = async (remoteAddress: string, forwardedFor: string, key: string) => {
    const headers = { 'x-api-key': key, 'x-forwarded-for': forwardedFor };
    return (await edge.inject({ url: '/v1/sandboxes', headers, remoteAddress })).statusCode;
  };
  const guesses = async (remoteAddress: string, forwardedFor: string): Promise<void> => {
    let status = 401;
    for (let guess = 0; status === 401 && guess < 200; guess++)
      status = await from(remoteAddress, forwardedFor, `guess-${remoteAddress}-${guess}`);
    t.equal(status, 429, `${forwardedFor} by ${remoteAddress}`);
  };
  await guesses('10.1.2.3', '203.0.113.1');
  t.equal(await from('10.1.2.3', '203.0.113.1', (await world.newTeam()).key), 429);
  t.equal(await from('10.1.2.3', '203.0.113.2', (await world.newTeam()).key), 200, 'another caller');
  t.equal(await from('10.1.9.9', '198.51.100.1, 203.0.113.1', (await world.newTeam()).key), 429, 'the same');
  t.equal(await from('fd00::1', '203.0.113.3', (await world.newTeam()).key), 200, 'another proxy');

  await guesses('203.0.113.9', '192.0.2.1');
  t.equal(
    await from('203.0.113.9', '192.0.2.2', (await world.newTeam()).key),
    429,
    'no proxy is not believed',
  );
});

/** Time as the test sets it. */
function standingClock(): Clock & { forward(ms: number): void } {
  let now = 0;
  const forward = (ms: number): void => {
    now += ms;
  };
  return { ...systemClock, monotonicMs: () => now, nowMs: () => now, forward };
}

/** Records that know the keys named, and count how often they are asked. */
function countingRecords(...known: string[]) {
  const hashes = new Set(known.map((key) => createHash('sha256').update(key).digest('hex')));
  const principal: Principal = {
    keyId: 'k',
    keyName: 'of k',
    teamId: 't',
    scopes: ['read'],
    expiresAt: null,
  };
  return {
    principal,
    asked: 0,
    isAway: false,
    hashes,
    async authenticate(hash: string): Promise<Principal | undefined> {
      this.asked += 1;
      if (this.isAway) throw new DormouseError('RECORDS_UNAVAILABLE', 'Away.');
      return hashes.has(hash) ? principal : undefined;
    },
  };
}

t.test(
  'answers are remembered: known keys for 30 s, unknown ones for 2 s, and asked for once at a time',
  async (t) => {
    const clock = standingClock();
    const known = countingRecords('good');
    const keys = new KeyCache(known, clock, quiet);
    await Promise.all(Array.from({ length: 10 }, () => keys.ownerOf('good', 'a')));
    t.equal(known.asked, 1);
    clock.forward(29_999);
    await keys.ownerOf('good', 'a');
    t.equal(known.asked, 1);
    clock.forward(2);
    await keys.ownerOf('good', 'a');
    t.equal(known.asked, 2);
    await t.rejects(keys.ownerOf('bad', 'a'), { code: 'UNAUTHENTICATED' });
    await t.rejects(keys.ownerOf('bad', 'a'), { code: 'UNAUTHENTICATED' });
    t.equal(known.asked, 3);
    clock.forward(2_001);
    await t.rejects(keys.ownerOf('bad', 'a'), { code: 'UNAUTHENTICATED' });
    t.equal(known.asked, 4);
  },
);

t.test('a revoked key works no longer than it is remembered', async (t) => {
  const clock = standingClock();
  const known = countingRecords('good');
  const keys = new KeyCache(known, clock, quiet);
  await keys.ownerOf('good', 'a');
  known.hashes.clear();
  await keys.ownerOf('good', 'a');
  clock.forward(30_001);
  await t.rejects(keys.ownerOf('good', 'a'), { code: 'UNAUTHENTICATED' });
});

t.test('a key works no longer than to its end, with the records and without them', async (t) => {
  const clock = standingClock();
  const known = countingRecords('good');
  known.principal.expiresAt = new Date(10_000);
  const keys = new KeyCache(known, clock, quiet);
  await keys.ownerOf('good', 'a');
  clock.forward(9_999);
  await keys.ownerOf('good', 'a');
  known.isAway = true;
  clock.forward(1);
  await t.rejects(keys.ownerOf('good', 'a'), { code: 'UNAUTHENTICATED' });
  t.equal(known.asked, 1);
});

t.test('a key that is forgotten is asked for again, also when its lookup was under way', async (t) => {
  const clock = standingClock();
  const known = countingRecords('good', 'other');
  const keys = new KeyCache(known, clock, quiet);
  await keys.ownerOf('good', 'a');
  keys.forget(({ keyId }) => keyId === 'another');
  await keys.ownerOf('good', 'a');
  t.equal(known.asked, 1, 'what is not meant stays');
  const underWay = keys.ownerOf('other', 'a');
  keys.forget(({ keyId }) => keyId === 'k');
  known.hashes.clear();
  await underWay;
  for (const key of ['good', 'other'])
    await t.rejects(keys.ownerOf(key, 'a'), { code: 'UNAUTHENTICATED' }, key);
});

t.test('without the records known keys go on for an hour, others get 503', async (t) => {
  const clock = standingClock();
  const known = countingRecords('good', 'never seen');
  const keys = new KeyCache(known, clock, quiet);
  await keys.ownerOf('good', 'a');
  known.isAway = true;
  clock.forward(1_800_000);
  t.match(await keys.ownerOf('good', 'a'), { teamId: 't' });
  await t.rejects(keys.ownerOf('never seen', 'a'), { code: 'RECORDS_UNAVAILABLE' });
  clock.forward(1_800_001);
  await t.rejects(keys.ownerOf('good', 'a'), { code: 'RECORDS_UNAVAILABLE' });
});

t.test('guesses are forgotten after a minute', async (t) => {
  const clock = standingClock();
  const keys = new KeyCache(countingRecords('good'), clock, quiet);
  for (let guess = 0; guess < 30; guess++)
    await t.rejects(keys.ownerOf(`guess ${guess}`, 'a'), { code: 'UNAUTHENTICATED' });
  await t.rejects(keys.ownerOf('good', 'a'), { code: 'RATE_LIMITED', data: { retry_after_s: 60 } });
  clock.forward(60_000);
  await keys.ownerOf('good', 'a');
});

t.test(
  'when the database is away: known keys work on running sandboxes, others and lists get 503',
  async (t) => {
    const { edge } = world;
    const team = await world.newTeam();
    const { view } = await addSandbox(world, team);
    const url = `/v1/sandboxes/${view.id}`;
    t.equal((await ask(t, edge, 'GET', url, { key: team.key })).status, 200);
    t.equal((await ask(t, edge, 'GET', '/readyz')).status, 200);
    const stranger = await world.newTeam();
    await postgres.stop();
    t.equal((await ask(t, edge, 'GET', url, { key: team.key })).status, 200);
    t.equal((await ask(t, edge, 'POST', `${url}/pause`, { key: team.key })).status, 200);
    const away = { status: 503, code: 'RECORDS_UNAVAILABLE', retryable: true };
    t.match((await ask(t, edge, 'GET', '/v1/sandboxes', { key: team.key })).body, away);
    t.match((await ask(t, edge, 'GET', url, { key: stranger.key })).body, away);
    t.match((await ask(t, edge, 'GET', '/readyz')).body, away);
    t.equal((await ask(t, edge, 'GET', '/healthz')).status, 200);
    await postgres.start();
    t.equal((await ask(t, edge, 'GET', '/readyz')).status, 200);
    t.equal((await ask(t, edge, 'GET', url, { key: stranger.key })).status, 404);
  },
);
