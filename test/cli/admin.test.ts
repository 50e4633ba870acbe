import t from 'tap';
import { DEFAULT_TEAM_ID } from '../../src/ids.ts';
import { startTestEdge } from './edge.ts';
import { dormouse, json, lines } from './support.ts';

t.jobs = 2;

const KEY_ID = '11111111-2222-4333-8444-555555555555';
const AT = '2026-01-01T00:00:00.000Z';
const team = {
  id: DEFAULT_TEAM_ID,
  name: 'default',
  quota: { sandboxes: 5, vcpus: null, memory_mb: 2048, disk_mb: null },
  usage: { sandboxes: 2, vcpus: 2, memory_mb: 1024, disk_mb: 40960 },
  created_at: AT,
};
const key = {
  id: KEY_ID,
  team_id: team.id,
  name: 'laptop',
  prefix: 'dm_12345',
  scopes: ['read', 'write'],
  created_at: AT,
  last_used_at: null,
  expires_at: null,
  revoked_at: null as string | null,
};
const entry = (id: number) => ({
  id: `r-${id}`,
  at: AT,
  team_id: team.id,
  key_id: KEY_ID,
  address: '127.0.0.1',
  action: 'destroySandbox',
  target: null,
  status: 404,
  code: 'SANDBOX_NOT_FOUND',
});

t.test('teams', async (t) => {
  const edge = await startTestEdge(t, {
    routes: (app) => {
      app.get('/v1/admin/teams', async () => ({ teams: [team] }));
      app.post('/v1/admin/teams', async (_request, reply) => reply.code(201).send(team));
      app.get('/v1/admin/teams/:team', async () => team);
      app.patch('/v1/admin/teams/:team', async () => team);
      app.delete('/v1/admin/teams/:team', async () => team);
    },
  });
  const run = (...args: string[]) => dormouse(['admin', 'team', ...args], edge.settings);
  t.match(lines(await run('list'))[1], /^0.* +default +2 of 5 +2 +1 GiB of 2 GiB +40 GiB$/);
  t.same(json(await run('list', '--json')), { teams: [team] });
  t.same(json(await run('create', 'research', '--sandboxes', '5', '--disk-mb', 'none', '--json')), team);
  t.same(edge.requests.at(-1)?.body, { name: 'research', quota: { sandboxes: 5, disk_mb: null } });
  t.match((await run('get', team.id)).stdout.toString(), /^memory: +1 GiB of 2 GiB$/m);
  await run('update', team.id, '--name', 'other', '--memory-mb', '4096');
  t.same(edge.requests.at(-1)?.body, { name: 'other', quota: { memory_mb: 4096 } });
  t.equal((await run('delete', team.id)).stdout.toString(), `${team.id} deleted\n`);
});

t.test('keys: one is printed once, by itself', async (t) => {
  const edge = await startTestEdge(t, {
    routes: (app) => {
      app.get('/v1/admin/teams/:team/keys', async () => ({
        keys: [key, { ...key, revoked_at: AT }, { ...key, expires_at: AT }],
      }));
      app.post('/v1/admin/teams/:team/keys', async (_request, reply) =>
        reply.code(201).send({ ...key, key: 'dm_secret' }),
      );
      app.delete('/v1/admin/teams/:team/keys/:key', async () => ({ ...key, revoked_at: AT }));
    },
  });
  const run = (...args: string[]) => dormouse(['admin', 'key', ...args], edge.settings);
  const made = await run('create', team.id, '--name', 'laptop');
  t.equal(made.stdout.toString(), 'dm_secret\n');
  t.match(made.stderr, /not shown again/);
  t.same(edge.requests[0]?.body, { name: 'laptop', scopes: ['read', 'write'] });
  await run('create', team.id, '--name', 'ci', '--scopes', 'read,admin', '--expires-in-s', '60', '--json');
  t.same(edge.requests[1]?.body, { name: 'ci', scopes: ['read', 'admin'], expires_in_s: 60 });
  const rows = lines(await run('list', team.id));
  t.match(rows.slice(1), [/never +works$/, /revoked$/, /expired$/]);
  t.equal((await run('revoke', team.id, KEY_ID)).stdout.toString(), `${KEY_ID} revoked\n`);
  t.equal(edge.requests.at(-1)?.url, `/v1/admin/teams/${team.id}/keys/${KEY_ID}`);
});

t.test('audit, from several pages; templates of all teams', async (t) => {
  const edge = await startTestEdge(t, {
    routes: (app) => {
      app.get('/v1/admin/audit', async (request) => {
        const { limit, cursor = '0' } = request.query as { limit: string; cursor?: string };
        const from = Number(cursor);
        const entries = Array.from({ length: Number(limit) }, (_, at) => entry(from + at));
        return { entries, next_cursor: String(from + entries.length) };
      });
      app.get('/v1/admin/templates', async () => ({ templates: [] }));
    },
  });
  const run = (...args: string[]) => dormouse(['admin', ...args], edge.settings);
  const { entries } = json<{ entries: Array<{ id: string }> }>(
    await run('audit', '--team', team.id, '--count', '250', '--json'),
  );
  t.equal(entries.length, 250);
  t.equal(entries.at(-1)?.id, 'r-249');
  t.match(edge.requests[1]?.url, `team=${team.id}&limit=50&cursor=200`);
  const rows = lines(await run('audit', '--count', '2'));
  t.match(rows[1], /127\.0\.0\.1 +destroySandbox +- +SANDBOX_NOT_FOUND$/);
  t.same(json(await run('template', 'list', '--json')), { templates: [] });
});
