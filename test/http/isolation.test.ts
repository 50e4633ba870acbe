import t, { type Test } from 'tap';
import { newSandboxId, PLATFORM_TEAM_ID } from '../../src/ids.ts';
import { templateRecordOf } from '../../src/records/template-record.ts';
import { exampleTransition } from '../support/bus.ts';
import { exampleTemplateDetails } from '../support/templates.ts';
import { readEvents } from './event-reader.ts';
import {
  addHost,
  addRecord,
  addSandbox,
  addScheduler,
  ask,
  type OpenapiDocument,
  startWorld,
} from './support.ts';

const world = await startWorld(t);
const { edge, records } = world;
const created = await addScheduler(t, world);
const host = await addHost(t, world, 'h-isolation');
const document = edge.swagger() as unknown as OpenapiDocument;
/** Every route that takes a key. */
const routes = Object.entries(document.paths)
  .filter(([path]) => path.startsWith('/v1'))
  .flatMap(([path, operations]) =>
    Object.entries(operations).map(([method, { operationId }]) => ({
      name: operationId,
      method: method.toUpperCase(),
      path,
    })),
  );
const named = (form: RegExp) => routes.filter(({ path }) => form.test(path));

/** Bodies that fit, by the name of the route. */
const BODIES: Record<string, object> = {
  execInSandbox: { cmd: 'true' },
  resizeSandbox: { disk_size_mb: 30_000 },
  createTeam: { name: 'x' },
  createKey: { name: 'x', scopes: ['read'] },
};
const bodyOf = ({ name, method }: { name: string; method: string }) =>
  method === 'POST' || method === 'PATCH' ? { body: BODIES[name] ?? {} } : {};

/** Routes whose path names nothing of a team, and the test that shows whose things they read and make. */
const OF_A_TEAM = {
  createSandbox: 'the same idempotency key',
  listSandboxes: 'a list shows',
  listTemplates: 'lists of templates',
  listSnapshots: 'lists of templates',
  createTemplate: "another team's sandbox in a body",
  createSnapshot: "another team's sandbox in a body",
  getMe: 'the fleet, the events',
  getFleet: 'the fleet, the events',
  streamFleet: 'the stream of the fleet',
  listEvents: 'the fleet, the events',
  getUsage: 'the fleet, the events',
};

t.test('every route is among those that are tried here', async (t) => {
  const tried = [
    ...named(/^\/v1\/sandboxes\/\{id\}/),
    ...named(/^\/v1\/(templates|snapshots)\/\{name\}/),
    ...named(/^\/v1\/admin\//),
    // The same for everybody.
    ...named(/^\/v1\/machines(\/|$)/),
  ].map(({ name }) => name);
  t.same([...tried, ...Object.keys(OF_A_TEAM)].sort(), routes.map(({ name }) => name).sort());
});

/** What a stranger is told of a thing, without what differs between any two answers. */
async function told(t: Test, key: string, route: (typeof routes)[number], parameter: string, value: string) {
  const { status, text, headers } = await ask(
    t,
    edge,
    route.method,
    route.path.replace(`{${parameter}}`, value),
    {
      key,
      headers: { 'x-request-id': 'the-same' },
      ...bodyOf(route),
    },
  );
  return { status, text, headers: { ...headers, date: null } };
}

t.test(
  "another team's sandbox is not there: on every route, byte for byte as one that never was",
  async (t) => {
    const owner = await world.newTeam();
    const stranger = await world.newTeam();
    const active = await addSandbox(world, owner);
    await records.applyTransition(exampleTransition(active.view, 1));
    const asleep = await addRecord(records, owner, { state: 'paused' });
    const gone = await addRecord(records, owner, { state: 'destroyed' });
    const never = newSandboxId();
    const withId = named(/\{id\}/);
    t.ok(withId.length >= 10, `${withId.length} routes`);
    for (const route of withId) {
      const expected = await told(t, stranger.key, route, 'id', never);
      t.equal(expected.status, 404, route.name);
      t.match(JSON.parse(expected.text), { code: 'SANDBOX_NOT_FOUND' });
      for (const { id } of [active.view, asleep, gone])
        t.same(await told(t, stranger.key, route, 'id', id), expected, `${route.name} ${id}`);
    }
    t.same(active.received, [], 'nothing reached the sandbox');
    t.match(await records.findSandbox(owner.id, asleep.id), { disk_size_mb: 20480 });
  },
);

t.test(
  "another team's template is not there: on every route, byte for byte as one that never was",
  async (t) => {
    const owner = await world.newTeam();
    const stranger = await world.newTeam();
    for (const kind of ['base', 'snapshot'] as const) {
      const details = exampleTemplateDetails({
        team_id: owner.id,
        name: `a-${kind}`,
        kind,
        host_id: host.id,
      });
      await records.upsertTemplate(templateRecordOf(details), new Date());
      host.templates.set(`${owner.id}/${details.name}`, details);
    }
    const withName = named(/\{name\}/);
    t.ok(withName.length >= 3, `${withName.length} routes`);
    for (const route of withName) {
      const expected = await told(t, stranger.key, route, 'name', 'never-was');
      t.equal(expected.status, 404, route.name);
      for (const name of ['a-base', 'a-snapshot'])
        t.same(await told(t, stranger.key, route, 'name', name), expected, `${route.name} ${name}`);
    }
    t.same(host.received, [], 'nothing reached the host');
  },
);

t.test("another team's sandbox in a body is not there", async (t) => {
  const owner = await world.newTeam();
  const stranger = await world.newTeam();
  const { view, received } = await addSandbox(world, owner, {}, { host_id: host.id });
  for (const url of ['/v1/snapshots', '/v1/templates']) {
    const answerFor = async (sandbox_id: string) =>
      await ask(t, edge, 'POST', url, {
        key: stranger.key,
        body: { name: 'stolen', sandbox_id },
        headers: { 'x-request-id': 'the-same' },
      });
    const expected = await answerFor(newSandboxId());
    t.match(expected, { status: 404, body: { code: 'SANDBOX_NOT_FOUND' } }, url);
    t.equal((await answerFor(view.id)).text, expected.text, url);
  }
  t.same([received, host.received], [[], []]);
});

t.test('lists of templates show those of the team and of the platform', async (t) => {
  const [owner, stranger] = [await world.newTeam(), await world.newTeam()];
  const add = async (team_id: string, name: string) =>
    await records.upsertTemplate(
      templateRecordOf(exampleTemplateDetails({ team_id, name, kind: 'snapshot' })),
      new Date(),
    );
  await add(owner.id, 'owned');
  await add(PLATFORM_TEAM_ID, 'shared');
  const namesOf = async (list: string) =>
    (await ask(t, edge, 'GET', `/v1/${list}`, { key: stranger.key })).body[list].map(
      ({ name }: { name: string }) => name,
    );
  t.same(await namesOf('templates'), ['shared']);
  t.same(await namesOf('snapshots'), []);
});

t.test('the routes of admins: 403 with any other key, before anything is looked at', async (t) => {
  const owner = await world.newTeam();
  const other = await world.newTeam(['read', 'write']);
  const adminRoutes = named(/^\/v1\/admin\//);
  t.ok(adminRoutes.length >= 10, `${adminRoutes.length} routes`);
  for (const route of adminRoutes) {
    for (const team of [owner.id, 'nobody']) {
      const url = route.path.replace('{team}', team).replace('{key}', 'x');
      const answer = await ask(t, edge, route.method, url, { key: other.key, ...bodyOf(route) });
      t.match(answer.body, { status: 403, code: 'FORBIDDEN', scope: 'admin' }, `${route.name} ${team}`);
    }
  }
  t.ok(await records.findTeam(owner.id));
});

t.test('an admin of the installation changes nothing of another team but through its routes', async (t) => {
  const owner = await world.newTeam();
  const admin = await world.newTeam();
  const { view, received } = await addSandbox(world, owner);
  for (const route of named(/\{id\}/))
    t.equal((await told(t, admin.key, route, 'id', view.id)).status, 404, route.name);
  t.same(received, []);
});

t.test('a list shows what belongs to the team, whatever is asked for', async (t) => {
  const owner = await world.newTeam();
  const stranger = await world.newTeam();
  const mine = await addRecord(records, owner, { metadata: { a: 'b' } });
  for (let count = 0; count < 3; count++) await addRecord(records, stranger, { metadata: { a: 'b' } });
  const page = await ask(t, edge, 'GET', '/v1/sandboxes?limit=1', { key: stranger.key });
  for (const query of ['', '?metadata.a=b', '?state=running', `?cursor=${page.body.next_cursor}`]) {
    const { body } = await ask(t, edge, 'GET', `/v1/sandboxes${query}`, { key: owner.key });
    for (const { id } of body.sandboxes) t.equal(id, mine.id, query);
  }
});

t.test('the fleet, the events, and what is used: those of the team', async (t) => {
  const owner = await world.newTeam();
  const stranger = await world.newTeam();
  const view = await addRecord(records, owner, { seq: 0 });
  await records.applyTransition(exampleTransition(view, 1));
  host.usage.push({ team: owner.id, id: view.id, allocated_bytes: 1 });
  for (const [url, list] of [
    ['/v1/fleet', 'sandboxes'],
    ['/v1/events', 'transitions'],
    ['/v1/usage', 'sandboxes'],
  ] as const) {
    const { body } = await ask(t, edge, 'GET', url, { key: owner.key });
    t.equal(body[list].length, 1, url);
    const other = await ask(t, edge, 'GET', url, { key: stranger.key });
    t.same(other.body[list], [], url);
    t.notMatch(other.text, view.id);
  }
  t.match((await ask(t, edge, 'GET', '/v1/me', { key: stranger.key })).body, { team_id: stranger.id });
});

t.test('the stream of the fleet tells of the sandboxes of the team', async (t) => {
  const owner = await world.newTeam();
  const stranger = await world.newTeam();
  const [view, other] = [await addRecord(records, owner), await addRecord(records, stranger)];
  await world.far.events.append(exampleTransition(view, 1));
  await world.far.events.append(exampleTransition(other, 1));
  const reader = await readEvents(t, edge, '/v1/fleet/stream', {
    key: stranger.key,
    headers: { 'last-event-id': '0.0' },
  });
  t.match(await reader.until(1, 'transition'), [{ data: { id: other.id } }]);
  t.notMatch(reader.text(), view.id);
});

t.test('the same idempotency key of two teams is two commands', async (t) => {
  const teams = [await world.newTeam(), await world.newTeam()];
  const from = created.length;
  for (const { key } of teams)
    await ask(t, edge, 'POST', '/v1/sandboxes', { key, body: {}, headers: { 'idempotency-key': 'same' } });
  const commands = created.slice(from);
  t.equal(new Set(commands.map(({ context }) => context.commandId)).size, 2);
  t.same(
    commands.map(({ body }) => (body as { team_id: string }).team_id),
    teams.map(({ id }) => id),
  );
});
