import { once } from 'node:events';
import { type ClientRequest, request as httpRequest, type IncomingMessage } from 'node:http';
import { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import t from 'tap';
import { UPLOAD_PIECE_BYTES } from '../../src/actors/host/template-protocol.ts';
import { ioSubject } from '../../src/bus/subjects.ts';
import { type Clock, systemClock } from '../../src/clock.ts';
import { DormouseError } from '../../src/errors/index.ts';
import { chooseHost } from '../../src/http/build.ts';
import { listenEdge } from '../../src/http/index.ts';
import { newSandboxId, PLATFORM_TEAM_ID } from '../../src/ids.ts';
import { templateRecordOf } from '../../src/records/template-record.ts';
import { until } from '../support/nats.ts';
import { exampleTemplateDetails } from '../support/templates.ts';
import { addHost, addRecord, ask, startWorld, type TestHost } from './support.ts';

const world = await startWorld(t);
const { edge, records } = world;
const team = await world.newTeam();
const { key } = team;
const host = await addHost(t, world);
const url = new URL(await listenEdge(edge, { host: '127.0.0.1', port: 0 }));
const TAR = { 'content-type': 'application/x-tar' };

/** Sends a file over a connection of its own. */
function send(query: string, headers: Record<string, string> = {}, at = url): ClientRequest {
  const outgoing = httpRequest(new URL(`/v1/templates?${query}`, at), {
    method: 'POST',
    agent: false,
    headers: { 'x-api-key': key, ...TAR, ...headers },
  });
  outgoing.on('error', () => undefined);
  return outgoing;
}

async function answerOf(outgoing: ClientRequest) {
  const [response] = (await once(outgoing, 'response')) as [IncomingMessage];
  const body = await text(response);
  return { status: response.statusCode, type: response.headers['content-type'], body };
}

const buildsOf = ({ received }: TestHost) => received.filter(({ name }) => name === 'buildTemplate');

t.test('a file goes to a host in pieces, and becomes a template with what the query says', async (t) => {
  const bytes = Buffer.alloc(2 * UPLOAD_PIECE_BYTES + 5, 'x');
  const query =
    'name=python&format=tar&user=ada&cwd=/srv&start_cmd=a%20b&ready_cmd=true&vcpus=2&memory_mb=256&disk_size_mb=4096&env.A=1&env.B=c%3Dd';
  const outgoing = send(query);
  Readable.from([bytes.subarray(0, 7), bytes.subarray(7)]).pipe(outgoing);
  const { status, body } = await answerOf(outgoing);
  t.equal(status, 201, body);
  t.match(JSON.parse(body), { name: 'python', owner: 'team', user: 'ada', env: { A: '1', B: 'c=d' } });
  const pieces = host.received.filter(({ name }) => name === 'upload');
  t.same(
    pieces.map(({ body }) => (body as { offset: number }).offset),
    [0, UPLOAD_PIECE_BYTES, 2 * UPLOAD_PIECE_BYTES],
  );
  t.match(buildsOf(host).at(-1)?.body, {
    team_id: team.id,
    overwrite: false,
    source: { format: 'tar' },
    spec: {
      name: 'python',
      user: 'ada',
      cwd: '/srv',
      env: { A: '1', B: 'c=d' },
      start_cmd: 'a b',
      ready_cmd: 'true',
      vcpus: 2,
      memory_mb: 256,
      disk_size_mb: 4096,
    },
  });
  await until(() => host.uploads.size === 0, 'nothing of it is left');
  t.match((await ask(t, edge, 'GET', '/v1/templates/python', { key })).body, { name: 'python' });
});

t.test(
  'a name that is taken is refused before the file comes; overwrite replaces it on its host',
  async (t) => {
    const other = await addHost(t, world, 'h-emptier', {
      capacity: { vcpus: 1, memory_mb: 1, disk_free_mb: 999_999 },
    });
    const before = host.received.length;
    const refused = await ask(t, edge, 'POST', '/v1/templates?name=python', { key, body: 'x', headers: TAR });
    t.match(refused.body, { status: 409, code: 'TEMPLATE_EXISTS' });
    t.equal(host.received.length, before);
    const replaced = await ask(t, edge, 'POST', '/v1/templates?name=python&overwrite=true', {
      key,
      body: 'x',
      headers: TAR,
    });
    t.equal(replaced.status, 201);
    t.match(buildsOf(host).at(-1)?.body, { overwrite: true });
    t.same(other.received, [], 'although that one has more room');
    const hosts = await world.far.hosts.list();
    const name = Array.from({ length: 99 }, (_, number) => `new-${number}`).find(
      (name) => chooseHost(hosts, undefined, { teamId: team.id, name }) === 'h-emptier',
    );
    await ask(t, edge, 'POST', `/v1/templates?name=${name}`, { key, body: 'x', headers: TAR });
    t.equal(buildsOf(other).length, 1, 'a new one goes where its name says');
    await other.leave();
    t.match(
      (
        await ask(t, edge, 'POST', `/v1/templates?name=${name}&overwrite=true`, {
          key,
          body: 'x',
          headers: TAR,
        })
      ).body,
      { code: 'HOST_UNREACHABLE' },
    );
  },
);

t.test('what is refused before a byte is read', async (t) => {
  const before = host.received.length;
  const long = 'x'.repeat(2049);
  const cases: Array<[query: string, code: string]> = [
    ['', 'INVALID_REQUEST'],
    ['name=NONE', 'INVALID_REQUEST'],
    ['name=a&name=b', 'INVALID_REQUEST'],
    ['name=a&format=zip', 'INVALID_REQUEST'],
    ['name=a&vcpus=0', 'INVALID_REQUEST'],
    ['name=a&overwrite=yes', 'INVALID_REQUEST'],
    ['name=a&team=other', 'INVALID_REQUEST'],
    ['name=a&env.1A=x', 'INVALID_REQUEST'],
    ['name=a&cwd=srv', 'INVALID_REQUEST'],
    ['name=a&surprise=1', 'INVALID_REQUEST'],
    [`name=a&env.A=${long}&env.B=${long}`, 'INVALID_REQUEST'],
  ];
  for (const [query, code] of cases)
    t.match(
      (await ask(t, edge, 'POST', `/v1/templates?${query}`, { key, body: 'x', headers: TAR })).body,
      { code },
      query.slice(0, 60),
    );
  for (const type of ['text/plain', 'application/zip', 'nonsense'])
    t.match(
      (
        await ask(t, edge, 'POST', '/v1/templates?name=a', {
          key,
          body: 'x',
          headers: { 'content-type': type },
        })
      ).body,
      { code: 'UNSUPPORTED_MEDIA_TYPE' },
      type,
    );
  t.match((await ask(t, edge, 'POST', '/v1/templates?name=a', { key })).body, { code: 'INVALID_REQUEST' });
  const large = send('name=a', { 'content-length': String(100 * 1024 ** 3) });
  large.flushHeaders();
  const { status, body } = await answerOf(large);
  large.destroy();
  t.match([status, JSON.parse(body)], [413, { code: 'PAYLOAD_TOO_LARGE' }]);
  t.equal(host.received.length, before);
});

t.test('a file of which the size is not known is cut at the limit, and nothing of it is left', async (t) => {
  const small = await world.newEdge({ uploadBytesMax: UPLOAD_PIECE_BYTES + 1 });
  const at = new URL(await listenEdge(small, { host: '127.0.0.1', port: 0 }));
  const outgoing = send('name=large', {}, at);
  Readable.from(Array.from({ length: 40 }, () => Buffer.alloc(65_536))).pipe(outgoing);
  const { status, body } = await answerOf(outgoing);
  t.match([status, JSON.parse(body)], [413, { code: 'PAYLOAD_TOO_LARGE' }]);
  await until(() => host.uploads.size === 0, 'the host forgot it');
});

t.test('for the platform by admins only', async (t) => {
  const writer = await world.newTeam(['read', 'write']);
  const post = async (given: string, name: string) =>
    await ask(t, edge, 'POST', `/v1/templates?name=${name}&team=platform`, {
      key: given,
      body: 'x',
      headers: TAR,
    });
  t.match((await post(writer.key, 'p')).body, { status: 403, code: 'FORBIDDEN', scope: 'admin' });
  t.match(await post(key, 'p'), { status: 201, body: { owner: 'platform' } });
  t.match(buildsOf(host).at(-1)?.body, { team_id: PLATFORM_TEAM_ID });
});

t.test('progress: of the upload, of the build, and the template last', async (t) => {
  const lines = ['{"stage":"unpacking","done_bytes":1,"total_bytes":2}', 'nonsense', '{"stage":1}'];
  host.building = ({ commandId }) => {
    for (const line of lines) world.far.publish(ioSubject(commandId, 'stdout'), Buffer.from(`${line}\n`));
  };
  const outgoing = send('name=watched', { accept: 'application/x-ndjson', 'content-length': '10' });
  outgoing.end('0123456789');
  const { status, type, body } = await answerOf(outgoing);
  delete host.building;
  t.same([status, type], [200, 'application/x-ndjson']);
  const documents = body
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
  t.match(documents, [
    { progress: { stage: 'uploading', done_bytes: 10, total_bytes: 10 } },
    { progress: { stage: 'unpacking', done_bytes: 1, total_bytes: 2 } },
    { template: { name: 'watched' } },
  ]);
  t.equal(documents.length, 3);
});

t.test('a build that fails: with its status when nothing was told, else in the last line', async (t) => {
  host.refuse.upload = () => new DormouseError('DISK_FULL', 'No room.');
  const early = send('name=fails', { accept: 'application/x-ndjson' });
  early.end('x');
  t.match(await answerOf(early), { status: 507, type: /problem\+json/ });
  delete host.refuse.upload;
  host.refuse.buildTemplate = () =>
    new DormouseError('TEMPLATE_INVALID', 'It leaves the root.', { data: { entry: '../x' } });
  const late = send('name=fails', { accept: 'application/x-ndjson' });
  late.end('x');
  const { status, body } = await answerOf(late);
  delete host.refuse.buildTemplate;
  t.equal(status, 200);
  t.match(JSON.parse(body.trim().split('\n').at(-1)!), {
    error: { code: 'TEMPLATE_INVALID', entry: '../x' },
  });
  t.equal((await ask(t, edge, 'GET', '/v1/templates/fails', { key })).status, 404);
  await until(() => host.uploads.size === 0, 'nothing of either is left');
});

t.test('a caller that hangs up in the middle: the host forgets what it has', async () => {
  const before = host.received.length;
  const outgoing = send('name=gone');
  outgoing.write(Buffer.alloc(UPLOAD_PIECE_BYTES));
  await until(() => host.uploads.size === 1, 'a piece is there');
  outgoing.destroy();
  await until(() => host.uploads.size === 0, 'it is forgotten');
  t.notOk(host.received.slice(before).some(({ name }) => name === 'buildTemplate'));
});

t.test('a caller that sends nothing for a minute is told so', async (t) => {
  const waits = new Set<() => void>();
  const clock: Clock = {
    ...systemClock,
    after(delayMs, fire) {
      if (delayMs !== 60_000) return systemClock.after(delayMs, fire);
      waits.add(fire);
      return { cancel: () => waits.delete(fire) };
    },
  };
  const slow = await world.newEdge({ clock });
  const at = new URL(await listenEdge(slow, { host: '127.0.0.1', port: 0 }));
  const outgoing = send('name=slow', {}, at);
  const answer = answerOf(outgoing);
  outgoing.write(Buffer.alloc(UPLOAD_PIECE_BYTES));
  await until(
    () => host.uploads.size === 1 && waits.size > 0,
    'a piece is there, and the next one is waited for',
  );
  for (const fire of [...waits]) fire();
  const { status, body } = await answer;
  t.match([status, JSON.parse(body)], [409, { code: 'UPLOAD_BROKEN', retryable: true, idle_s: 60 }]);
  await until(() => host.uploads.size === 0, 'it is forgotten');
  const closed = once(outgoing, 'close');
  await until(() => waits.size > 0, 'the rest may take as long as other bodies');
  for (const fire of [...waits]) fire();
  await closed;
});

t.test('a body that comes too slowly ends other requests', async (t) => {
  const waits = new Set<() => void>();
  const clock: Clock = {
    ...systemClock,
    after(delayMs, fire) {
      if (delayMs !== 60_000) return systemClock.after(delayMs, fire);
      waits.add(fire);
      return { cancel: () => waits.delete(fire) };
    },
  };
  const slow = await world.newEdge({ clock });
  const at = new URL(await listenEdge(slow, { host: '127.0.0.1', port: 0 }));
  const outgoing = httpRequest(new URL('/v1/sandboxes', at), {
    method: 'POST',
    agent: false,
    headers: { 'x-api-key': key, 'content-type': 'application/json', 'content-length': '10' },
  });
  outgoing.on('error', () => undefined);
  const answer = answerOf(outgoing);
  outgoing.write('{"a');
  await until(() => waits.size === 1, 'the rest is waited for');
  for (const fire of [...waits]) fire();
  t.match(await answer, { status: 408, body: /"REQUEST_TIMEOUT"/ });
  const quick = await slow.inject({ method: 'GET', url: '/healthz' });
  t.equal(quick.statusCode, 200);
});

t.test('the same Idempotency-Key is the same build', async (t) => {
  const headers = { ...TAR, 'idempotency-key': 'once' };
  const from = buildsOf(host).length;
  for (let time = 0; time < 2; time++)
    await ask(t, edge, 'POST', '/v1/templates?name=keyed', { key, body: 'x', headers });
  const [first, second] = buildsOf(host).slice(from);
  t.equal(first?.context.commandId, second?.context.commandId);
  t.same(first?.body, second?.body, 'the same upload');
  const attemptsOf = (command: string): unknown[] =>
    host.received
      .filter(({ name }) => name === command)
      .slice(-2)
      .map(({ body }) => (body as { attempt: string }).attempt);
  t.equal(new Set(attemptsOf('upload')).size, 2, 'each request sends a file of its own');
  t.same(attemptsOf('discardUpload'), attemptsOf('upload'), 'and discards no other');
});

t.test('from a sandbox: on its host, with everything in the body', async (t) => {
  const view = await addRecord(records, team, { host_id: host.id, state: 'paused' });
  const body = { name: 'derived', sandbox_id: view.id, env: { A: 'b' } };
  t.match(await ask(t, edge, 'POST', '/v1/templates', { key, body }), {
    status: 201,
    body: { name: 'derived', source_sandbox_id: view.id },
  });
  t.match(buildsOf(host).at(-1)?.body, { source: { sandbox_id: view.id, team_id: team.id } });
  const post = async (given: object, query = '') =>
    (await ask(t, edge, 'POST', `/v1/templates${query}`, { key, body: given })).body;
  t.match(await post(body), { code: 'TEMPLATE_EXISTS' });
  t.match(await post({ ...body, name: 'x', sandbox_id: newSandboxId() }), { code: 'SANDBOX_NOT_FOUND' });
  t.match(await post({ ...body, name: 'x' }, '?vcpus=2'), { code: 'INVALID_REQUEST' });
  t.match(await post({ name: 'x' }), { code: 'INVALID_REQUEST' });
  const gone = await addRecord(records, team, { state: 'destroyed' });
  t.match(await post({ ...body, name: 'x', sandbox_id: gone.id }), { code: 'SANDBOX_NOT_FOUND' });
});

t.test('without a host that is ready it is said so', async (t) => {
  await host.leave();
  t.match((await ask(t, edge, 'POST', '/v1/templates?name=nowhere', { key, body: 'x', headers: TAR })).body, {
    status: 503,
    code: 'NO_HOST_AVAILABLE',
  });
  await addHost(t, world, 'h-draining', { state: 'draining' });
  await records.upsertTemplate(
    templateRecordOf(exampleTemplateDetails({ team_id: team.id, name: 'there', host_id: 'h-draining' })),
    new Date(),
  );
  const over = '/v1/templates?name=there&overwrite=true';
  t.match((await ask(t, edge, 'POST', over, { key, body: 'x', headers: TAR })).body, {
    code: 'HOST_DRAINING',
  });
});
