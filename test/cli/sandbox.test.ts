import { writeFile } from 'node:fs/promises';
import http from 'node:http';
import path from 'node:path';
import t, { type Test } from 'tap';
import type { SandboxView } from '../../src/actors/sandbox/protocol.ts';
import { newSandboxId } from '../../src/ids.ts';
import { API_KEY, addTransitions, Refusal, startTestEdge } from './edge.ts';
import { dormouse, json, lines, temporaryFolder } from './support.ts';

t.jobs = 2;

t.test('create sends what was given, and nothing else', async (t) => {
  const edge = await startTestEdge(t);
  const bare = await dormouse(['sandbox', 'create'], edge.settings);
  t.equal(bare.status, 0);
  t.same(edge.requests[0]?.body, {}, 'defaults are the matter of the server');
  t.match(bare.stdout.toString(), /^id: +sb-/);

  const options =
    '--template t --vcpus 2 --memory-mb 1024 --disk-size-mb 4096 --timeout-s 60 --on-timeout destroy';
  const more = '--auto-resume --metadata user=ada --metadata q=a=b --idempotency-key k1 --json';
  const full = await dormouse(['sandbox', 'create', ...`${options} ${more}`.split(' ')], edge.settings);
  t.same(edge.requests[1]?.body, {
    template: 't',
    vcpus: 2,
    memory_mb: 1024,
    disk_size_mb: 4096,
    timeout_s: 60,
    on_timeout: 'destroy',
    auto_resume: true,
    metadata: { user: 'ada', q: 'a=b' },
  });
  t.equal(edge.requests[1]?.headers['idempotency-key'], 'k1');
  t.match(json(full), { memory_mb: 1024, state: 'running' });
});

t.test('list', async (t) => {
  const edge = await startTestEdge(t);
  const list = (...args: string[]) => dormouse(['sandbox', 'list', ...args], edge.settings);

  const none = await list();
  t.equal(none.stdout.toString(), '');
  t.match(none.stderr, /no sandboxes/);
  t.same(json(await list('--json')), { sandboxes: [] });

  const running = edge.add({ metadata: { user: 'ada', note: 'red \u001b[31m\nline' } });
  const paused = edge.add({ state: 'paused', memory_mb: 1536 });
  const destroyed = edge.add({ state: 'destroyed' });
  const another = edge.add({ metadata: { user: 'bob' } });

  const table = await list();
  t.equal(table.status, 0);
  const [heading, ...rows] = lines(table);
  t.match(heading, /^ID +STATE +TEMPLATE +VCPUS +MEMORY +DISK +AGE +TIME LEFT +METADATA$/);
  t.equal(rows.length, 3, 'three sandboxes on two pages, each on one line');
  t.match(rows[1], new RegExp(`^${paused.id} +paused +minimal +1 +1.5 GiB +20 GiB +\\d+d +- +-$`));
  t.notOk(table.stdout.includes('\u001b'), 'neither colours nor what somebody wrote into a label');

  const idsOf = async (...args: string[]) =>
    json<{ sandboxes: SandboxView[] }>(await list('--json', ...args)).sandboxes.map(({ id }) => id);
  t.same(await idsOf(), [running.id, paused.id, another.id]);
  t.same(await idsOf('--state', 'paused'), [paused.id]);
  t.same(await idsOf('--state', 'paused,destroyed'), [paused.id, destroyed.id]);
  t.same(await idsOf('--metadata', 'user=bob'), [another.id]);
  t.same(await idsOf('--all'), [running.id, paused.id, destroyed.id, another.id]);
});

t.test('commands on one sandbox', async (t) => {
  const edge = await startTestEdge(t);
  const { id } = edge.add();
  for (const [command, state] of [
    ['pause', 'paused'],
    ['resume', 'running'],
    ['restart', 'running'],
    ['ping', 'running'],
    ['get', 'running'],
  ] as const) {
    const result = await dormouse(['sandbox', command, id, '--json'], edge.settings);
    t.equal(result.status, 0, command);
    t.match(json(result), { id, state });
  }
  t.same(
    edge.requests.map(({ method, url }) => `${method} ${url.replace(id, 'ID')}`),
    [
      'POST /v1/sandboxes/ID/pause',
      'POST /v1/sandboxes/ID/resume',
      'POST /v1/sandboxes/ID/restart',
      'POST /v1/sandboxes/ID/ping',
      'GET /v1/sandboxes/ID',
    ],
  );
  await dormouse(['sandbox', 'ping', id, '--timeout-s', '90'], edge.settings);
  t.same(edge.requests.at(-1)?.body, { timeout_s: 90 });
});

t.test('destroy goes on after one that fails', async (t) => {
  const edge = await startTestEdge(t);
  const [one, other] = [edge.add(), edge.add()];
  const missing = newSandboxId();
  const result = await dormouse(
    ['sandbox', 'destroy', one.id, missing, other.id, one.id, '--json'],
    edge.settings,
  );
  t.equal(result.status, 1);
  t.match(
    lines(result).map((line) => JSON.parse(line)),
    [
      { id: one.id, state: 'destroyed' },
      { id: missing, code: 'SANDBOX_NOT_FOUND' },
      { id: other.id, state: 'destroyed' },
    ],
    'the one that was named twice was asked for once',
  );
  t.match(result.stderr, `${missing}: `);
});

t.test('transitions of several pages', async (t) => {
  const edge = await startTestEdge(t);
  const view = edge.add();
  addTransitions(edge, view, 401);
  const failed = edge.transitions[2];
  t.ok(failed);
  if (failed) {
    failed.step = 'snapshotting';
    failed.step_duration_ms = 1234.5;
    failed.error = { code: 'STEP_FAILED', detail: 'the disk is\nfull' };
  }
  const all = await dormouse(['sandbox', 'transitions', view.id, '--json'], edge.settings);
  t.same(
    json<{ transitions: Array<{ seq: number }> }>(all).transitions.map(({ seq }) => seq),
    Array.from({ length: 401 }, (_, index) => index + 1),
  );
  const rows = lines(await dormouse(['sandbox', 'transitions', view.id], edge.settings));
  t.equal(rows.length, 402);
  t.match(rows[0], /^SEQ +AT +STATE +CAUSE +STEP +STEP TIME +ERROR$/);
  t.match(rows[3], /^3 .* snapshotting +1\.23 s +STEP_FAILED: the disk is full$/);
});

t.test('what the server refuses', async (t) => {
  const refusal = new Refusal('SANDBOX_WRONG_STATE', { state: 'paused', allowed: ['resume', 'destroy'] });
  const edge = await startTestEdge(t, {
    onCommand() {
      throw refusal;
    },
  });
  const { id } = edge.add();
  const plain = await dormouse(['sandbox', 'pause', id], edge.settings);
  t.equal(plain.status, 1);
  t.equal(plain.stdout.toString(), '');
  t.match(plain.stderr, /^error: The sandbox is in a state .*\(SANDBOX_WRONG_STATE\)$/m);
  t.match(plain.stderr, /About SANDBOX_WRONG_STATE\./);
  t.match(plain.stderr, /allowed now: resume, destroy/);

  const document = await dormouse(['sandbox', 'pause', id, '--json'], edge.settings);
  t.equal(document.status, 1);
  t.match(json(document), {
    code: 'SANDBOX_WRONG_STATE',
    status: 409,
    state: 'paused',
    allowed: ['resume', 'destroy'],
  });

  const withKey = (key: string) =>
    dormouse(['sandbox', 'get', id], { ...edge.settings, DORMOUSE_API_KEY: key });
  const wrongKey = await withKey('dm_of_nobody_whatsoever');
  t.equal(wrongKey.status, 1);
  t.match(wrongKey.stderr, /UNAUTHENTICATED/);
  t.equal((await withKey(`${API_KEY}\n`)).status, 0, 'the end of a line is not part of a key');
});

t.test('a server that is not there, or not ours', async (t) => {
  const nobody = await dormouse(['sandbox', 'list', '--json'], { DORMOUSE_URL: await unusedAddress(t) });
  t.equal(nobody.status, 1);
  t.match(json(nobody), { code: 'SERVER_UNREACHABLE', retryable: true });

  const none = await dormouse(['sandbox', 'list'], { DORMOUSE_DATA_DIR: await temporaryFolder(t) });
  t.equal(none.status, 1);
  t.match(none.stderr, /No server runs on the data directory/);

  const other = http.createServer((_request, response) => void response.end('<html>')).listen(0, '127.0.0.1');
  await new Promise((resolve) => other.once('listening', resolve));
  t.teardown(() => other.close());
  const { port } = other.address() as { port: number };
  const foreign = await dormouse(['sandbox', 'list', '--json'], { DORMOUSE_URL: `http://127.0.0.1:${port}` });
  t.equal(foreign.status, 1);
  t.match(json(foreign), { code: 'BAD_REPLY' });

  const noScheme = await dormouse(['sandbox', 'list'], { DORMOUSE_URL: 'localhost:7070' });
  t.equal(noScheme.status, 1);
  t.match(noScheme.stderr, /CONFIG_INVALID.*DORMOUSE_URL: must begin with http:/s);

  const notAscii = await dormouse(['sandbox', 'list'], {
    DORMOUSE_URL: `http://127.0.0.1:${port}`,
    DORMOUSE_API_KEY: 'ключ',
  });
  t.equal(notAscii.status, 1);
  t.match(notAscii.stderr, /CONFIG_INVALID.*DORMOUSE_API_KEY: must be 20 to 512/s);
  t.notMatch(notAscii.stderr, /ключ/);

  const misspelled = await dormouse(['sandbox', 'list'], { DORMOUSE_URRL: 'x' });
  t.equal(misspelled.status, 1);
  t.match(misspelled.stderr, /DORMOUSE_URRL: there is no such setting/);
});

t.test('the server of the data directory is found', async (t) => {
  const edge = await startTestEdge(t);
  edge.add();
  const dataDir = await temporaryFolder(t);
  const write = (name: string, text: string) => writeFile(path.join(dataDir, name), text);
  await write('server.json', JSON.stringify({ url: edge.settings.DORMOUSE_URL }));
  await write('api-key', `${API_KEY}\n`);
  const list = async (settings: Record<string, string>) =>
    dormouse(['sandbox', 'list', '--json'], { DORMOUSE_DATA_DIR: dataDir, ...settings });

  t.equal((await list({})).status, 0, 'with its address and key');
  t.equal(
    (await list({ DORMOUSE_URL: `${edge.settings.DORMOUSE_URL}/` })).status,
    0,
    'the same address by name',
  );

  const elsewhere = await startTestEdge(t);
  const foreign = await list({ DORMOUSE_URL: elsewhere.settings.DORMOUSE_URL });
  t.equal(foreign.status, 1);
  t.equal(elsewhere.requests[0]?.headers.authorization, undefined, 'the key goes to no other server');

  await write('api-key', 'ключ');
  const noKey = await list({});
  t.match(noKey.stderr, /CONFIG_INVALID.*api-key holds no API key.*remove the file/s);
  t.notMatch(noKey.stderr, /ключ/);

  await write('server.json', '{"url": 1}');
  t.match((await list({})).stderr, /server\.json is damaged/);
});

/** The address of a port on which nobody listens. */
async function unusedAddress(t: Test): Promise<string> {
  const server = http.createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  t.comment(`port ${port}`);
  return `http://127.0.0.1:${port}`;
}
