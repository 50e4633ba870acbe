import t from 'tap';
import { DEFAULT_TEAM_ID } from '../../src/ids.ts';
import { addScheduler, ask, startWorld } from './support.ts';

const world = await startWorld(t);
const created = await addScheduler(t, world);
const edge = await world.newEdge({ auth: 'none' });

t.test('without keys everybody is the default team, with every scope', async (t) => {
  for (const key of [undefined, 'whatever']) {
    t.equal((await ask(t, edge, 'POST', '/v1/sandboxes', { key, body: {} })).status, 201);
    t.match(created.at(-1)?.body, { team_id: DEFAULT_TEAM_ID });
    t.equal((await ask(t, edge, 'GET', '/v1/admin/teams', { key })).status, 200);
  }
});

t.test('only those who call it by a name of this machine', async (t) => {
  const url = '/v1/sandboxes';
  const hosts = ['localhost', 'localhost:7070', '127.0.0.1', '127.8.9.1:80', '[::1]:7070', 'LOCALHOST:1'];
  for (const host of hosts)
    t.equal((await ask(t, edge, 'GET', url, { headers: { host } })).status, 200, host);
  const names = ['example.com', 'localhost.example.com', '127.0.0.1.nip.io', '10.0.0.1', '[::2]', 'a b'];
  for (const host of names)
    t.match(
      (await ask(t, edge, 'GET', url, { headers: { host } })).body,
      { status: 403, code: 'FORBIDDEN' },
      host,
    );
});

t.test('no page of another site', async (t) => {
  const before = created.length;
  const post = async (origin: string) =>
    await ask(t, edge, 'POST', '/v1/sandboxes', { body: {}, headers: { host: 'localhost:7070', origin } });
  for (const origin of [
    'http://example.com',
    'http://localhost:8080',
    'https://localhost:7070',
    'http://127.0.0.1:7070',
    'null',
    '',
  ])
    t.match((await post(origin)).body, { status: 403, code: 'FORBIDDEN' }, origin);
  t.equal(created.length, before, 'nothing was made');
  t.equal((await post('http://localhost:7070')).status, 201, 'its own page may');
});

t.test('nothing that a page of another site only loads', async (t) => {
  const get = async (site: string) =>
    await ask(t, edge, 'GET', '/v1/sandboxes', {
      headers: { host: 'localhost:7070', 'sec-fetch-site': site },
    });
  for (const site of ['cross-site', 'same-site'])
    t.match((await get(site)).body, { status: 403, code: 'FORBIDDEN' }, site);
  for (const site of ['same-origin', 'none']) t.equal((await get(site)).status, 200, site);
});

t.test('an edge that asks for keys takes any name, and a key is needed by all of them', async (t) => {
  const { key } = await world.newTeam();
  const headers = { host: 'example.com', origin: 'http://elsewhere' };
  t.equal((await ask(t, world.edge, 'GET', '/v1/sandboxes', { key, headers })).status, 200);
  t.equal((await ask(t, world.edge, 'GET', '/v1/sandboxes', { headers })).status, 401);
});
