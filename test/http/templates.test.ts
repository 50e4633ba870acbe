import { randomUUID } from 'node:crypto';
import t from 'tap';
import type { TemplateDetails } from '../../src/actors/host/template-protocol.ts';
import { DormouseError } from '../../src/errors/index.ts';
import { newSandboxId, PLATFORM_TEAM_ID } from '../../src/ids.ts';
import { templateRecordOf } from '../../src/records/template-record.ts';
import { exampleTemplateDetails } from '../support/templates.ts';
import {
  addHost,
  addKey,
  addRecord,
  addSandbox,
  ask,
  startWorld,
  type Team,
  type TestHost,
} from './support.ts';

const world = await startWorld(t);
const { edge, records } = world;
const team = await world.newTeam();
const { key } = team;

/** A template that the records know, and the host, if one is given. */
async function addTemplate(owner: string, changes: Partial<TemplateDetails>, host?: TestHost) {
  const details = exampleTemplateDetails({
    team_id: owner,
    ...changes,
    ...(host && { host_id: host.id }),
  });
  await records.upsertTemplate(templateRecordOf(details), new Date());
  host?.templates.set(`${owner}/${details.name}`, details);
  return details;
}

const namesOf = (answer: { body: Record<string, Array<{ name: string }>> }, list = 'templates') =>
  answer.body[list]?.map(({ name }) => name);

t.test('list: those of the team and of the platform, by kind, and no others', async (t) => {
  const stranger = await world.newTeam();
  await addTemplate(PLATFORM_TEAM_ID, { name: 'minimal' });
  await addTemplate(team.id, { name: 'mine', env: { A: 'b' }, user: 'ada', start_cmd: 'run' });
  await addTemplate(team.id, { name: 'saved', kind: 'snapshot', memory: true });
  await addTemplate(stranger.id, { name: 'theirs' });
  const all = await ask(t, edge, 'GET', '/v1/templates', { key });
  t.same(namesOf(all), ['mine', 'minimal', 'saved']);
  t.match(all.body.templates[0], {
    owner: 'team',
    kind: 'base',
    memory: false,
    env: { A: 'b' },
    user: 'ada',
    start_cmd: 'run',
    ready_cmd: null,
    size_mb: 64,
    allocated_bytes: 4096,
  });
  t.equal(all.body.templates[1].owner, 'platform');
  t.notOk('host_id' in all.body.templates[0], 'where it is does not matter to callers');
  t.same(namesOf(await ask(t, edge, 'GET', '/v1/templates?kind=snapshot', { key })), ['saved']);
  t.same(namesOf(await ask(t, edge, 'GET', '/v1/snapshots', { key }), 'snapshots'), ['saved']);
  for (const query of ['kind=x', 'kind=', 'surprise=1'])
    t.equal((await ask(t, edge, 'GET', `/v1/templates?${query}`, { key })).status, 400, query);
});

t.test('get: the one of the team hides the one of the platform', async (t) => {
  await addTemplate(PLATFORM_TEAM_ID, { name: 'both', size_mb: 1 });
  const get = async (query = '') => (await ask(t, edge, 'GET', `/v1/templates/both${query}`, { key })).body;
  t.match(await get(), { owner: 'platform', size_mb: 1 });
  await addTemplate(team.id, { name: 'both', size_mb: 2 });
  t.match(await get(), { owner: 'team', size_mb: 2 });
  t.match(await get('?team=platform'), { owner: 'platform', size_mb: 1 });
  for (const name of ['nothing', 'NONE', '-', 'a'.repeat(99), '%00'])
    t.match((await ask(t, edge, 'GET', `/v1/templates/${name}`, { key })).body, { status: 404 }, name);
});

t.test('delete: on its host, and from the records at once', async (t) => {
  const host = await addHost(t, world);
  await addTemplate(team.id, { name: 'old' }, host);
  t.match((await ask(t, edge, 'DELETE', '/v1/templates/old', { key })).body, { name: 'old', owner: 'team' });
  t.match(host.received, [{ name: 'deleteTemplate', body: { team_id: team.id, name: 'old' } }]);
  t.match((await ask(t, edge, 'GET', '/v1/templates/old', { key })).body, { code: 'TEMPLATE_NOT_FOUND' });
  t.match((await ask(t, edge, 'DELETE', '/v1/templates/old', { key })).body, { code: 'TEMPLATE_NOT_FOUND' });
});

t.test('delete: one in use stays, and it is said who uses it', async (t) => {
  const host = await addHost(t, world);
  await addTemplate(team.id, { name: 'used' }, host);
  const users = [newSandboxId()];
  host.refuse.deleteTemplate = () => new DormouseError('TEMPLATE_IN_USE', 'It is used.', { data: { users } });
  t.match((await ask(t, edge, 'DELETE', '/v1/templates/used', { key })).body, {
    status: 409,
    code: 'TEMPLATE_IN_USE',
    users,
  });
  t.equal((await ask(t, edge, 'GET', '/v1/templates/used', { key })).status, 200);
});

t.test('delete: one that its host has lost is forgotten; one whose host is away is not', async (t) => {
  const host = await addHost(t, world);
  await addTemplate(team.id, { name: 'lost' }, host);
  host.templates.clear();
  t.equal((await ask(t, edge, 'DELETE', '/v1/templates/lost', { key })).status, 200);
  await addTemplate(team.id, { name: 'away', host_id: 'h-nobody' });
  t.match((await ask(t, edge, 'DELETE', '/v1/templates/away', { key })).body, {
    code: 'HOST_UNREACHABLE',
    retryable: true,
  });
  t.equal((await ask(t, edge, 'GET', '/v1/templates/away', { key })).status, 200);
});

t.test('those of the platform are changed by admins only', async (t) => {
  const host = await addHost(t, world);
  await addTemplate(PLATFORM_TEAM_ID, { name: 'everybodys' }, host);
  const writer = await world.newTeam(['read', 'write']);
  const url = '/v1/templates/everybodys';
  const without = await ask(t, edge, 'DELETE', url, { key: writer.key });
  t.match(without.body, { code: 'TEMPLATE_NOT_FOUND' }, 'the team has none of that name');
  const refused = await ask(t, edge, 'DELETE', `${url}?team=platform`, { key: writer.key });
  t.match(refused.body, { status: 403, code: 'FORBIDDEN', scope: 'admin' });
  t.same(host.received, []);
  t.equal((await ask(t, edge, 'DELETE', `${url}?team=platform`, { key })).status, 200);
  t.match(host.received, [{ name: 'deleteTemplate', body: { team_id: PLATFORM_TEAM_ID } }]);
});

t.test('a key of the platform itself changes nothing of it without the scope "admin"', async (t) => {
  const host = await addHost(t, world);
  await addTemplate(PLATFORM_TEAM_ID, { name: 'ours', kind: 'snapshot' }, host);
  // Nobody can make one any more; older versions let an admin do it.
  const platform = { id: PLATFORM_TEAM_ID, key: `dm_${randomUUID()}` };
  await addKey(world.records, platform, ['read', 'write']);
  const { view, received } = await addSandbox(world, platform);
  const refused = { status: 403, code: 'FORBIDDEN', scope: 'admin' };
  const requests: Array<[method: string, path: string, body?: object]> = [
    ['DELETE', 'templates/ours'],
    ['DELETE', 'snapshots/ours'],
    ['POST', 'templates', { name: 'new', sandbox_id: view.id }],
    ['POST', 'snapshots', { name: 'new', sandbox_id: view.id }],
  ];
  for (const [method, path, body] of requests) {
    const asked = { key: platform.key, ...(body && { body }) };
    t.match((await ask(t, edge, method, `/v1/${path}`, asked)).body, refused, `${method} ${path}`);
  }
  t.same([...host.received, ...received], []);
});

t.test('one of the platform is deleted from every host that has it', async (t) => {
  const hosts = await Promise.all([addHost(t, world), addHost(t, world)]);
  for (const host of hosts) {
    const details = await addTemplate(PLATFORM_TEAM_ID, { name: 'everywhere' }, host);
    const { host_id: _id, user, cwd, env, start_cmd, ready_cmd, source_sandbox_id, ...info } = details;
    await host.announce({ templates: [info] });
  }
  t.equal((await ask(t, edge, 'DELETE', '/v1/templates/everywhere?team=platform', { key })).status, 200);
  for (const { templates } of hosts) t.equal(templates.size, 0);
  t.match((await ask(t, edge, 'GET', '/v1/templates/everywhere', { key })).body, {
    code: 'TEMPLATE_NOT_FOUND',
  });
});

t.test('snapshot: the sandbox makes it, the records know it at once', async (t) => {
  const host = await addHost(t, world);
  const made = ({ name, memory }: { name: string; memory: boolean }) =>
    exampleTemplateDetails({ team_id: team.id, host_id: host.id, kind: 'snapshot', name, memory });
  const { view, received } = await addSandbox(world, team, { snapshot: (body: never) => made(body) });
  const body = { sandbox_id: view.id, name: 'kept' };
  const answer = await ask(t, edge, 'POST', '/v1/snapshots', { key, body });
  t.match(answer, { status: 201, body: { name: 'kept', kind: 'snapshot', memory: true, owner: 'team' } });
  t.equal(answer.headers.location, '/v1/templates/kept');
  t.match(received, [{ name: 'snapshot', body: { name: 'kept', memory: true, overwrite: false } }]);
  t.ok(namesOf(await ask(t, edge, 'GET', '/v1/snapshots', { key }), 'snapshots')?.includes('kept'));

  const again = await ask(t, edge, 'POST', '/v1/snapshots', { key, body });
  t.match(again.body, { status: 409, code: 'TEMPLATE_EXISTS', name: 'kept' });
  t.equal(received.length, 1, 'the sandbox was not asked');
  const over = { ...body, memory: false, overwrite: true };
  t.equal((await ask(t, edge, 'POST', '/v1/snapshots', { key, body: over })).status, 201);
  t.match(received.at(-1)?.body, { memory: false, overwrite: true });

  host.templates.set(`${team.id}/kept`, made({ name: 'kept', memory: false }));
  t.equal((await ask(t, edge, 'DELETE', '/v1/snapshots/kept', { key })).status, 200);
  for (const name of ['kept', 'mine', 'minimal', 'NONE'])
    t.match(
      (await ask(t, edge, 'DELETE', `/v1/snapshots/${name}`, { key })).body,
      { code: 'SNAPSHOT_NOT_FOUND' },
      `${name} is no snapshot`,
    );
});

t.test('snapshot: of a sandbox that is not there, or away, or in the wrong state', async (t) => {
  const ask404 = async (owner: Team, sandbox_id: string) =>
    (await ask(t, edge, 'POST', '/v1/snapshots', { key: owner.key, body: { sandbox_id, name: 'x' } })).body;
  t.match(await ask404(team, newSandboxId()), { code: 'SANDBOX_NOT_FOUND' });
  const away = await addRecord(records, team);
  t.match(await ask404(team, away.id), { code: 'HOST_UNREACHABLE' });
  t.match(await ask404(team, 'sb-none'), { code: 'INVALID_REQUEST' });
  const { view } = await addSandbox(world, team, {
    snapshot: () => {
      throw new DormouseError('SANDBOX_WRONG_STATE', 'No.', { data: { state: 'crashed', allowed: [] } });
    },
  });
  t.match(await ask404(team, view.id), { status: 409, state: 'crashed' });
});

t.test('a template that replaces one on another host takes it away there', async (t) => {
  const [before, after] = await Promise.all([addHost(t, world), addHost(t, world)]);
  await addTemplate(team.id, { name: 'moved' }, before);
  const { view } = await addSandbox(world, team, {
    snapshot: ({ name }: { name: string }) =>
      exampleTemplateDetails({ team_id: team.id, host_id: after.id, kind: 'snapshot', name }),
  });
  const body = { sandbox_id: view.id, name: 'moved', overwrite: true };
  t.equal((await ask(t, edge, 'POST', '/v1/snapshots', { key, body })).status, 201);
  t.equal(before.templates.size, 0);
  t.match((await records.findTemplate(team.id, 'moved'))?.hostId, after.id);
});
