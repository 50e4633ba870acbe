import { request as httpRequest } from 'node:http';
import net from 'node:net';
import { PassThrough } from 'node:stream';
import { text } from 'node:stream/consumers';
import t from 'tap';
import { catalogue, DormouseError, type ErrorCode } from '../../src/errors/index.ts';
import { listenEdge } from '../../src/http/index.ts';
import { answerBadConnection } from '../../src/http/plugins/bad-connections.ts';
import { withoutHostPaths } from '../../src/http/present.ts';
import { errorOf, problemHeaders, problemOf } from '../../src/http/problem.ts';
import { addSandbox, addScheduler, ask, startWorld } from './support.ts';

const world = await startWorld(t);
const { edge } = world;
const { key, ...team } = await world.newTeam();
const created = await addScheduler(t, world);
const { view, received } = await addSandbox(world, { key, ...team });
const sandbox = `/v1/sandboxes/${view.id}`;

t.test('bodies that are refused, with the code and the place', async (t) => {
  const create = '/v1/sandboxes';
  const exec = `${sandbox}/exec`;
  const cases: Array<[url: string, body: unknown, code: ErrorCode, path?: string]> = [
    [create, '{"template":', 'MALFORMED_JSON'],
    [create, '{"a":1}}', 'MALFORMED_JSON'],
    [create, '{"__proto__":{"vcpus":1}}', 'MALFORMED_JSON'],
    [create, '{"constructor":{"prototype":{}}}', 'MALFORMED_JSON'],
    [create, 'null', 'INVALID_REQUEST', ''],
    [create, '[]', 'INVALID_REQUEST', ''],
    [create, '"text"', 'INVALID_REQUEST', ''],
    [create, { surprise: 1 }, 'INVALID_REQUEST', '/surprise'],
    [create, { vcpus: '1' }, 'INVALID_REQUEST', '/vcpus'],
    [create, { vcpus: 0 }, 'INVALID_REQUEST', '/vcpus'],
    [create, { vcpus: 1.5 }, 'INVALID_REQUEST', '/vcpus'],
    [create, { vcpus: null }, 'INVALID_REQUEST', '/vcpus'],
    [create, { memory_mb: 95 }, 'INVALID_REQUEST', '/memory_mb'],
    [create, { disk_size_mb: 1e9 }, 'INVALID_REQUEST', '/disk_size_mb'],
    [create, { timeout_s: -1 }, 'INVALID_REQUEST', '/timeout_s'],
    [create, { on_timeout: 'explode' }, 'INVALID_REQUEST', '/on_timeout'],
    [create, { auto_resume: 'true' }, 'INVALID_REQUEST', '/auto_resume'],
    [create, { template: '../etc' }, 'INVALID_REQUEST', '/template'],
    [create, { metadata: { 'a b': 'c' } }, 'INVALID_REQUEST', '/metadata/a b'],
    [create, { metadata: { a: 1 } }, 'INVALID_REQUEST', '/metadata/a'],
    [create, { metadata: { a: 'x'.repeat(513) } }, 'INVALID_REQUEST', '/metadata/a'],
    [`${sandbox}/pause`, { force: true }, 'INVALID_REQUEST', '/force'],
    [`${sandbox}/ping`, { timeout_s: '5' }, 'INVALID_REQUEST', '/timeout_s'],
    [exec, {}, 'INVALID_REQUEST'],
    [exec, { cmd: 'a', argv: ['b'] }, 'INVALID_REQUEST'],
    [exec, { cmd: '' }, 'INVALID_REQUEST', '/cmd'],
    [exec, { argv: [] }, 'INVALID_REQUEST', '/argv'],
    [exec, { argv: 'ls' }, 'INVALID_REQUEST', '/argv'],
    [exec, { cmd: 'a', timeout_s: 0 }, 'INVALID_REQUEST', '/timeout_s'],
    [exec, { cmd: 'a', timeout_s: 3601 }, 'INVALID_REQUEST', '/timeout_s'],
    [exec, { cmd: 'a', env: { '1A': 'b' } }, 'INVALID_REQUEST', '/env/1A'],
    [exec, { cmd: 'a', user: 'a b' }, 'INVALID_REQUEST', '/user'],
    [exec, { cmd: 'a', stdin_encoding: 'hex' }, 'INVALID_REQUEST', '/stdin_encoding'],
  ];
  for (const [url, body, code, path] of cases) {
    const name = `${url} ${JSON.stringify(body)}`.slice(0, 120);
    const answer = await ask(t, edge, 'POST', url, { key, body });
    t.match(answer.body, { code, status: catalogue[code].status }, name);
    if (path !== undefined)
      t.ok(
        answer.body.problems?.some((problem: { path: string }) => problem.path === path),
        `${name} names ${path}: ${JSON.stringify(answer.body.problems)}`,
      );
  }
  t.same([...created, ...received], [], 'nothing of it reached the bus');
});

t.test('a body that is too large, of another type, or said to be longer than it is', async (t) => {
  const large = { metadata: { a: 'x'.repeat(300_000) } };
  t.match((await ask(t, edge, 'POST', '/v1/sandboxes', { key, body: large })).body, {
    code: 'PAYLOAD_TOO_LARGE',
  });
  const stdin = { cmd: 'cat', stdin: 'x'.repeat(7 * 1024 * 1024) };
  t.match((await ask(t, edge, 'POST', `${sandbox}/exec`, { key, body: stdin })).body, {
    code: 'PAYLOAD_TOO_LARGE',
    status: 413,
  });
  for (const type of ['text/plain', 'application/x-www-form-urlencoded', 'multipart/form-data', 'nonsense'])
    t.match(
      (await ask(t, edge, 'POST', '/v1/sandboxes', { key, body: '{}', headers: { 'content-type': type } }))
        .body,
      { code: 'UNSUPPORTED_MEDIA_TYPE', status: 415 },
      type,
    );
  t.same([...created, ...received], []);
});

t.test('an Idempotency-Key that is none', async (t) => {
  for (const given of ['a b', 'x'.repeat(256), 'é', ''])
    t.match(
      (await ask(t, edge, 'POST', '/v1/sandboxes', { key, body: {}, headers: { 'idempotency-key': given } }))
        .body,
      { code: 'INVALID_REQUEST', in: 'headers', problems: [{ path: '/idempotency-key' }] },
      JSON.stringify(given),
    );
  t.same(created, []);
});

t.test('no such route; a route under another method; OPTIONS; HEAD', async (t) => {
  for (const url of ['/v1', '/v1/nothing', '/nothing', '/v2/sandboxes', `${sandbox}/pause/now`])
    for (const method of ['GET', 'POST', 'OPTIONS'])
      t.match((await ask(t, edge, method, url, { key })).body, { status: 404, code: 'ROUTE_NOT_FOUND' }, url);
  const cases: Array<[method: string, url: string, allow: string]> = [
    ['PUT', '/v1/sandboxes', 'GET, HEAD, OPTIONS, POST'],
    ['DELETE', '/v1/sandboxes', 'GET, HEAD, OPTIONS, POST'],
    ['PUT', sandbox, 'DELETE, GET, HEAD, OPTIONS, PATCH'],
    ['GET', `${sandbox}/pause`, 'OPTIONS, POST'],
    ['POST', '/healthz?x=1', 'GET, HEAD, OPTIONS'],
  ];
  for (const [method, url, allow] of cases) {
    const answer = await ask(t, edge, method, url, { key });
    t.match(answer.body, { status: 405, code: 'METHOD_NOT_ALLOWED' }, `${method} ${url}`);
    t.equal(answer.headers.allow, allow);
    const options = await edge.inject({ method: 'OPTIONS', url });
    t.same([options.statusCode, options.body, options.headers.allow], [204, '', allow]);
  }
  const head = await edge.inject({ method: 'HEAD', url: '/healthz' });
  t.same([head.statusCode, head.body], [200, '']);
});

t.test('ids that cannot be one are not found, like those that are not there', async (t) => {
  const ids = ['x', 'sb-', 'sb-UPPER', '*', '%3E', 'sb-aaaaaaaaaaaaaaaaaaaa.pause', 'a'.repeat(300), '%00'];
  for (const id of ids) {
    const answer = await ask(t, edge, 'GET', `/v1/sandboxes/${id}`, { key });
    t.match(answer.body, { status: 404 }, id);
  }
  t.match((await ask(t, edge, 'GET', '/v1/sandboxes/%zz', { key })).body, {
    status: 400,
    code: 'INVALID_REQUEST',
  });
});

t.test('every answer has its id: the one that was sent, or a new one', async (t) => {
  const mine = await ask(t, edge, 'GET', sandbox, { headers: { 'x-request-id': 'mine-1' } });
  t.equal(mine.headers['x-request-id'], 'mine-1');
  t.equal(mine.body.instance, 'urn:dormouse:request:mine-1');
  for (const bad of ['a b', 'x'.repeat(200), '<script>', ''])
    t.match((await ask(t, edge, 'GET', '/healthz', { headers: { 'x-request-id': bad } })).headers, {
      'x-request-id': /^r-[a-z2-7]{20}$/,
    });
});

t.test('every answer has the security headers; nothing is cached, nothing may be framed', async (t) => {
  for (const url of ['/v1/sandboxes', '/healthz', '/nothing', '/openapi.json', '/docs']) {
    const { headers } = await ask(t, edge, 'GET', url, { key });
    t.match(headers['content-security-policy'], /default-src 'none'.*frame-ancestors 'none'/, url);
    t.match(headers, {
      'x-content-type-options': 'nosniff',
      'x-frame-options': 'DENY',
      'cache-control': 'no-store',
    });
    t.notOk(headers['access-control-allow-origin'], 'no other site may read it');
  }
});

t.test('what is not HTTP is answered with a problem, and the connection is closed', async (t) => {
  const other = await world.newEdge();
  const url = new URL(await listenEdge(other, { host: '127.0.0.1', port: 0 }));
  const tooLarge = `GET / HTTP/1.1\r\nhost: x\r\nx: ${'y'.repeat(20_000)}\r\n\r\n`;
  const cases: Array<[sent: string, line: string, problem: object]> = [
    ['nonsense\r\n\r\n', '400 Bad Request', { code: 'INVALID_REQUEST', status: 400 }],
    [
      tooLarge,
      '431 Request Header Fields Too Large',
      { code: 'HEADERS_TOO_LARGE', retryable: false, limit_bytes: 16_384 },
    ],
  ];
  for (const [sent, line, problem] of cases) {
    const socket = net.connect(Number(url.port), url.hostname);
    socket.end(sent);
    let text = '';
    for await (const chunk of socket) text += chunk;
    t.equal(text.split('\r\n')[0], `HTTP/1.1 ${line}`);
    t.match(JSON.parse(text.split('\r\n\r\n')[1] ?? ''), problem);
  }
  const length = await new Promise<number | undefined>((resolve, reject) => {
    const outgoing = httpRequest(
      new URL('/v1/sandboxes', url),
      {
        method: 'POST',
        headers: { 'x-api-key': key, 'content-type': 'application/json', 'content-length': '300000' },
      },
      (response) => resolve(response.statusCode),
    );
    outgoing.on('error', reject);
    outgoing.flushHeaders();
  });
  t.equal(length, 413, 'a length beyond the limit is refused before the body');
});

t.test('an error of any kind becomes one problem: no stack, no cause, standard members win', async (t) => {
  for (const code of Object.keys(catalogue) as ErrorCode[]) {
    const problem = problemOf(
      new DormouseError(code, 'About it.', {
        data: { status: 1, code: 'X', detail: 'x' },
        cause: new Error('secret'),
      }),
      'r-1',
    );
    t.match(problem, { ...catalogue[code], answer: undefined, code, detail: 'About it.' });
    t.notMatch(JSON.stringify(problem), /secret|stack/);
  }
  const unknown = problemOf(errorOf(new TypeError('x is not a function'), 'r-1'), 'r-1');
  t.match(unknown, { code: 'INTERNAL', status: 500, detail: /log has it under r-1/ });
  t.notMatch(JSON.stringify(unknown), /is not a function/);
  t.same(errorOf('a string', 'r-1').code, 'INTERNAL');
  t.same(problemHeaders(new DormouseError('RATE_LIMITED', '', { data: { retry_after_s: 7 } })), {
    'retry-after': '7',
  });
});

t.test('paths of the host are taken out of texts, words and addresses are not', async (t) => {
  t.equal(
    withoutHostPaths('in /var/lib/x: and "/dev/dm-0" (a/b, 1/2)'),
    'in (file): and "(file)" (a/b, 1/2)',
  );
  t.equal(
    withoutHostPaths('see http://localhost/v1/sandboxes/x or /docs'),
    'see http://localhost/v1/sandboxes/x or /docs',
  );
});

t.test('headers that do not come are answered with 408', async (t) => {
  const socket = new PassThrough();
  const error = Object.assign(new Error('Request timeout'), { code: 'ERR_HTTP_REQUEST_TIMEOUT' });
  answerBadConnection(error, socket as unknown as net.Socket);
  const [head = '', body = ''] = (await text(socket)).split('\r\n\r\n');
  t.match(head, /^HTTP\/1\.1 408 Request Timeout\r\n/);
  t.match(JSON.parse(body), { code: 'REQUEST_TIMEOUT', retryable: true, limit_s: 10 });
});
