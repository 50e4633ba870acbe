import t from 'tap';
import {
  dormouse,
  http,
  newDataDir,
  type Running,
  removeDataDir,
  run,
  startDormouse,
  type View,
} from '../support/dormouse.ts';
import { until } from '../support/nats.ts';
import { bodyOf, create, destroy, SHAPE, type TemplateView, up } from './templates/support.ts';

/** Several teams on one installation: keys, what they see of each other, quotas, and who did what. */

t.setTimeout(600_000);

const server = await up(t);
const settings = { DORMOUSE_DATA_DIR: server.dataDir };

/** Runs an admin's command and gives what it printed as JSON. */
async function admin<T = Record<string, unknown>>(...args: string[]): Promise<T> {
  const { exitCode, stdout, stderr } = await dormouse(['admin', ...args, '--json'], settings);
  if (exitCode !== 0) throw new Error(`admin ${args.join(' ')}: ${stderr}`);
  return JSON.parse(stdout) as T;
}

/** A team with a key that reads and writes. */
async function team(
  name: string,
  ...options: string[]
): Promise<{ id: string; member: Pick<Running, 'url' | 'key'> }> {
  const { id } = await admin<{ id: string }>('team', 'create', name, ...options);
  const { key } = await admin<{ key: string }>(
    'key',
    'create',
    id,
    '--name',
    'laptop',
    '--scopes',
    'read,write',
  );
  return { id, member: { url: server.url, key } };
}

t.test('a team sees its own sandboxes and templates, and those of the platform', async (t) => {
  const [red, blue] = [await team('red'), await team('blue')];
  const mine = bodyOf(
    await http<View>(red.member, 'POST', '/sandboxes', { template: 'minimal', ...SHAPE }),
    201,
  );
  t.equal(mine.team_id, red.id);
  bodyOf(await http(red.member, 'POST', '/snapshots', { sandbox_id: mine.id, name: 'secret' }), 201);
  for (const [method, where, body] of [
    ['GET', `/sandboxes/${mine.id}`, undefined],
    ['POST', `/sandboxes/${mine.id}/exec`, { cmd: 'true' }],
    ['POST', `/sandboxes/${mine.id}/fork`, { count: 1 }],
    ['POST', '/snapshots', { sandbox_id: mine.id, name: 'stolen' }],
    ['DELETE', `/sandboxes/${mine.id}`, undefined],
  ] as const)
    t.match(
      await http(blue.member, method, where, body),
      { status: 404, body: { code: 'SANDBOX_NOT_FOUND' } },
      where,
    );
  t.match(await http(blue.member, 'POST', '/sandboxes', { template: 'secret' }), {
    status: 404,
    body: { code: 'TEMPLATE_NOT_FOUND' },
  });
  const names = async (who: Pick<Running, 'url' | 'key'>): Promise<string[]> =>
    (await http<{ templates: TemplateView[] }>(who, 'GET', '/templates')).body.templates
      .map(({ name }) => name)
      .sort();
  t.same(await names(red.member), ['minimal', 'secret']);
  t.same(await names(blue.member), ['minimal']);
  t.match(await http(blue.member, 'GET', '/admin/templates'), { status: 403, body: { code: 'FORBIDDEN' } });
  const all = await admin<{ templates: Array<{ name: string; team_id: string }> }>('template', 'list');
  t.ok(
    all.templates.some(({ name, team_id }) => name === 'secret' && team_id === red.id),
    'an admin sees all',
  );
  bodyOf(await http(red.member, 'DELETE', '/snapshots/secret'), 200);
  bodyOf(await http(red.member, 'DELETE', `/sandboxes/${mine.id}`), 200);
});

t.test('what an admin makes for the platform, every team can use', async (t) => {
  const { member } = await team('green');
  const { id } = await create(server, { template: 'minimal', ...SHAPE });
  await run(server, id, 'echo for all > /etc/motd');
  t.match(await http(member, 'POST', '/templates?team=platform', { name: 'shared', sandbox_id: id }), {
    status: 403,
  });
  bodyOf(await http(server, 'POST', '/templates?team=platform', { name: 'shared', sandbox_id: id }), 201);
  const copy = bodyOf(await http<View>(member, 'POST', '/sandboxes', { template: 'shared', ...SHAPE }), 201);
  t.equal(await run(member, copy.id, 'cat /etc/motd'), 'for all');
  t.match(await http(member, 'DELETE', '/templates/shared?team=platform'), { status: 403 });
  bodyOf(await http(member, 'DELETE', `/sandboxes/${copy.id}`), 200);
  bodyOf(await http(server, 'DELETE', '/templates/shared?team=platform'), 200);
  await destroy(server, id);
});

t.test('a quota holds, however many ask at once', async (t) => {
  const { id, member } = await team('small', '--sandboxes', '2', '--memory-mb', '300');
  const answers = await Promise.all(
    Array.from({ length: 8 }, () =>
      http<View>(member, 'POST', '/sandboxes', { template: 'minimal', ...SHAPE }),
    ),
  );
  const made = answers.filter(({ status }) => status === 201).map(({ body }) => body.id);
  t.equal(made.length, 2);
  for (const { status, body } of answers.filter((one) => one.status !== 201))
    t.match({ status, body }, { status: 403, body: { code: 'QUOTA_EXCEEDED' } });
  t.match(await http(member, 'POST', `/sandboxes/${made[0]}/fork`, { count: 1 }), {
    status: 403,
    body: { code: 'QUOTA_EXCEEDED' },
  });
  t.match(await admin('team', 'get', id), { usage: { sandboxes: 2, memory_mb: 256 } });
  bodyOf(await http(member, 'DELETE', `/sandboxes/${made[0]}`), 200);
  await admin('team', 'update', id, '--sandboxes', '3');
  let again = await http<View>(member, 'POST', '/sandboxes', { template: 'minimal', ...SHAPE });
  // The record follows the sandbox by some moments.
  for (let tries = 0; again.status === 403 && tries < 300; tries += 1) {
    await new Promise((resolve) => setTimeout(resolve, 100));
    again = await http<View>(member, 'POST', '/sandboxes', { template: 'minimal', ...SHAPE });
  }
  made.push(bodyOf(again, 201).id);
  for (const each of made.slice(1)) bodyOf(await http(member, 'DELETE', `/sandboxes/${each}`), 200);
});

t.test('a key is shown once, says what it may do, and ends', async (t) => {
  const { id } = await team('keys');
  const made = await admin<{ id: string; key: string; prefix: string }>(
    'key',
    'create',
    id,
    '--name',
    'ci',
    '--scopes',
    'read',
  );
  t.match(made.key, /^dm_[0-9a-f]{40}$/);
  t.ok(made.key.startsWith(made.prefix));
  const reader = { url: server.url, key: made.key };
  bodyOf(await http(reader, 'GET', '/sandboxes'), 200);
  t.match(await http(reader, 'POST', '/sandboxes', { template: 'minimal' }), {
    status: 403,
    body: { code: 'FORBIDDEN' },
  });
  const listed = await admin<{ keys: Array<Record<string, unknown>> }>('key', 'list', id);
  t.equal(listed.keys.length, 2);
  t.notOk(JSON.stringify(listed).includes(made.key), 'the key is not shown again');
  await admin('key', 'revoke', id, made.id);
  t.match(await http(reader, 'GET', '/sandboxes'), { status: 401 }, 'at once, where it was revoked');
  const short = await admin<{ key: string }>('key', 'create', id, '--name', 'short', '--expires-in-s', '5');
  const look = async (): Promise<number> =>
    (await http({ url: server.url, key: short.key }, 'GET', '/sandboxes')).status;
  t.equal(await look(), 200);
  await until(async () => (await look()) === 401, 'it ends by itself');
});

t.test('the audit log says who did what', async (t) => {
  const { id, member } = await team('watched');
  const view = bodyOf(await http<View>(member, 'POST', '/sandboxes', { template: 'minimal', ...SHAPE }), 201);
  await http(member, 'POST', `/sandboxes/${view.id}/exec`, { argv: ['/not/there'] });
  bodyOf(await http(member, 'DELETE', `/sandboxes/${view.id}`), 200);
  type Entry = { action: string; target: string | null; status: number; code: string | null };
  let entries: Entry[] = [];
  for (let tries = 0; entries.length < 3 && tries < 300; tries += 1) {
    await new Promise((resolve) => setTimeout(resolve, 100));
    entries = (await admin<{ entries: Entry[] }>('audit', '--team', id)).entries;
  }
  t.match(
    entries.map(({ action, target, status, code }) => ({ action, target, status, code })),
    [
      { action: 'destroySandbox', target: view.id, status: 200, code: null },
      { action: 'exec', target: view.id, status: 422, code: 'EXEC_NOT_FOUND' },
      { action: 'createSandbox', status: 201, code: null },
    ],
  );
});

t.test('without keys, on loopback only', async (t) => {
  const dataDir = await newDataDir();
  const open = await startDormouse(dataDir, { DORMOUSE_STORE_SIZE_MB: '2048' }, ['up', '--auth', 'none']);
  t.teardown(async () => {
    await open.stop();
    await removeDataDir(dataDir);
  });
  t.equal((await fetch(`${open.url}/v1/sandboxes`)).status, 200);
  const stranger = await fetch(`${open.url}/v1/sandboxes`, { headers: { origin: 'https://example.com' } });
  t.equal(stranger.status, 403, 'no page of another site');
  const elsewhere = await dormouse(['up', '--auth', 'none'], {
    DORMOUSE_DATA_DIR: `${dataDir}-2`,
    DORMOUSE_HTTP_HOST: '0.0.0.0',
  });
  t.not(elsewhere.exitCode, 0);
  t.match(elsewhere.stderr, /CONFIG_INVALID/);
  await removeDataDir(`${dataDir}-2`);
});
