import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { brotliCompressSync } from 'node:zlib';
import t from 'tap';
import { DEFAULT_TEAM_ID } from '../../src/ids.ts';
import { ask, startWorld } from './support.ts';

const world = await startWorld(t);
const uiDir = await mkdtemp(path.join(os.tmpdir(), 'dm-ui-'));
t.teardown(() => rm(uiDir, { recursive: true, force: true }));
await mkdir(path.join(uiDir, 'ui'));
await writeFile(path.join(uiDir, 'index.html'), '<title>Dormouse</title>');
await writeFile(path.join(uiDir, 'test.html'), '<title>Dormouse test page</title>');
await writeFile(path.join(uiDir, 'secret.txt'), 'not an asset');
await writeFile(path.join(uiDir, 'ui', 'index-abc123.js'), 'export {};');
await writeFile(path.join(uiDir, 'ui', 'index-abc123.css'), ':root {}');
await writeFile(path.join(uiDir, 'ui', 'index-abc123.js.br'), brotliCompressSync('export {};'));
const edge = await world.newEdge({ uiDir });

const PAGES = [
  '/',
  '/sandboxes/sb-x',
  '/templates',
  '/snapshots',
  '/events',
  '/hosts',
  '/hosts/h-1',
  '/admin',
];
const VISUALIZER = ['/visualizer', '/visualizer/', '/visualizer/sandbox/sb-x', '/visualizer/recording'];

t.test('what a page loads is sent compressed to browsers that take it', async (t) => {
  const url = '/ui/index-abc123.js';
  const { headers } = await ask(t, edge, 'GET', url, { headers: { 'accept-encoding': 'gzip, br' } });
  t.match(headers, { 'content-encoding': 'br', 'content-type': /javascript/, vary: /accept-encoding/i });
  t.match(await ask(t, edge, 'GET', url), { status: 200, text: 'export {};' });
});

t.test('every address of the page is the one page, without a key; /test is a page of its own', async (t) => {
  for (const url of [...PAGES, ...VISUALIZER, '/?a=b']) {
    const answer = await ask(t, edge, 'GET', url);
    t.match(answer, { status: 200, text: '<title>Dormouse</title>' }, url);
    t.match(answer.headers['content-type'], /^text\/html; charset=utf-8/i, url);
  }
  t.equal((await ask(t, edge, 'GET', '/test')).text, '<title>Dormouse test page</title>');
  t.match(await ask(t, edge, 'POST', '/visualizer/x'), {
    status: 405,
    headers: { allow: 'GET, HEAD, OPTIONS' },
  });
});

t.test(
  'a page runs its own files and nothing else, sends to this server only, and cannot be framed',
  async (t) => {
    for (const url of ['/', '/visualizer/sandbox/sb-x', '/test']) {
      const { headers } = await ask(t, edge, 'GET', url);
      const policy = String(headers['content-security-policy']);
      t.match(
        policy,
        /^default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; /,
      );
      t.match(policy, /connect-src 'self'; .*base-uri 'none'; form-action 'none'; frame-ancestors 'none'$/);
      t.notMatch(policy, /unsafe|https?:|\*/);
      t.match(headers, { 'x-content-type-options': 'nosniff', 'referrer-policy': 'no-referrer' });
    }
  },
);

t.test('a page is asked for again each time, and not sent again when it is the same', async (t) => {
  const { headers } = await ask(t, edge, 'GET', '/');
  t.equal(headers['cache-control'], 'no-cache');
  const again = await ask(t, edge, 'GET', '/', { headers: { 'if-none-match': String(headers.etag) } });
  t.match(again, { status: 304, text: '' });
});

t.test('assets are kept for ever by browsers', async (t) => {
  for (const [url, type] of [
    ['/ui/index-abc123.js', /javascript/],
    ['/ui/index-abc123.css', /^text\/css/],
  ] as const) {
    const { status, headers } = await ask(t, edge, 'GET', url);
    t.equal(status, 200);
    t.match(headers['content-type'], type);
    t.match(headers, {
      'cache-control': 'public, max-age=31536000, immutable',
      'x-content-type-options': 'nosniff',
    });
  }
});

t.test('what is no asset is not there', async (t) => {
  for (const url of ['/ui/nothing.js', '/ui/secret.txt'])
    t.match(await ask(t, edge, 'GET', url), { status: 404, body: { code: 'ROUTE_NOT_FOUND' } }, url);
  for (const url of [
    '/ui/',
    '/ui/../secret.txt',
    '/ui/%2e%2e/secret.txt',
    '/ui/..%2fsecret.txt',
    '/ui//etc/passwd',
  ]) {
    const answer = await ask(t, edge, 'GET', url);
    t.ok(answer.status >= 400 && answer.status < 500, `${url}: ${answer.status}`);
    t.notMatch(answer.text, /not an asset|root:/);
  }
  t.match(await ask(t, edge, 'DELETE', '/ui/index-abc123.js'), { status: 405 });
});

t.test('pages that are not built: what to do; the API is there', async (t) => {
  const without = await world.newEdge({ uiDir: path.join(uiDir, 'nowhere') });
  for (const url of ['/', '/visualizer', '/test'])
    t.match(
      (await ask(t, without, 'GET', url)).body,
      { status: 503, code: 'PAGES_NOT_BUILT', detail: /npm run setup/ },
      url,
    );
  t.equal((await ask(t, without, 'GET', '/healthz')).status, 200);
});

t.test('without keys the page is there, and its own requests are answered', async (t) => {
  const open = await world.newEdge({ uiDir, auth: 'none' });
  const headers = {
    host: 'localhost:7070',
    'sec-fetch-site': 'same-origin',
    origin: 'http://localhost:7070',
  };
  t.equal((await ask(t, open, 'GET', '/', { headers })).status, 200);
  t.match((await ask(t, open, 'GET', '/v1/me', { headers })).body, {
    team_id: DEFAULT_TEAM_ID,
    scopes: ['read', 'write', 'admin'],
    key_name: null,
    auth: 'none',
  });
});

t.test('who I am', async (t) => {
  const team = await world.newTeam(['read']);
  t.same((await ask(t, edge, 'GET', '/v1/me', { key: team.key })).body, {
    team_id: team.id,
    team_name: 'test',
    scopes: ['read'],
    key_name: 'test',
    auth: 'keys',
    version: '0.0.0',
  });
  t.equal((await ask(t, edge, 'GET', '/v1/me')).status, 401);
});
