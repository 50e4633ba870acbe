import t from 'tap';
import { DormouseError } from '../../src/errors/index.ts';
import { listenEdge } from '../../src/http/index.ts';
import { newSandboxId } from '../../src/ids.ts';
import { addRecord, addSandbox, addScheduler, ask, startWorld } from './support.ts';

const world = await startWorld(t);
const { edge, records } = world;
const created = await addScheduler(t, world);

/** A team that may have so much disk, in MiB. */
async function newTeam(diskMb: number | null = null) {
  const team = await world.newTeam();
  await records.updateTeam(team.id, { quota: { diskMb } });
  const diskOf = async () => (await records.findTeam(team.id))?.usage.diskMb;
  return { ...team, diskOf };
}
const size = (disk_size_mb: number) => ({ disk_size_mb });

t.test('a larger disk is reserved, and the sandbox is told', async (t) => {
  const team = await newTeam(30_000);
  const { view, received } = await addSandbox(world, team, {
    resize: (body: object) => ({ ...view, state: 'paused', ...body }),
  });
  const url = `/v1/sandboxes/${view.id}`;
  t.match((await ask(t, edge, 'PATCH', url, { key: team.key, body: size(30_000) })).body, size(30_000));
  t.match(received, [{ name: 'resize', body: size(30_000) }]);
  t.equal(await team.diskOf(), 30_000);
  const more = await ask(t, edge, 'PATCH', url, { key: team.key, body: size(30_001) });
  t.match(more.body, { status: 403, code: 'QUOTA_EXCEEDED' });
  t.equal(received.length, 1, 'the sandbox was not asked');
  t.equal(await team.diskOf(), 30_000);
});

t.test('what the sandbox refuses is not reserved', async (t) => {
  const team = await newTeam();
  const { view } = await addSandbox(world, team, {
    resize: () => {
      throw new DormouseError('SANDBOX_WRONG_STATE', 'It runs.', {
        data: { state: 'running', allowed: ['pause'] },
      });
    },
  });
  const answer = await ask(t, edge, 'PATCH', `/v1/sandboxes/${view.id}`, {
    key: team.key,
    body: size(40_000),
  });
  t.match(answer.body, { status: 409, state: 'running' });
  t.equal(await team.diskOf(), view.disk_size_mb);
});

t.test('a resize of which nobody knows the end counts as what the sandbox has then', async (t) => {
  const team = await newTeam();
  const { view } = await addSandbox(world, team, {
    resize: () => {
      throw new DormouseError('DEADLINE_EXCEEDED', 'Too late.');
    },
    get: () => ({ ...view, ...size(40_000) }),
  });
  await ask(t, edge, 'PATCH', `/v1/sandboxes/${view.id}`, { key: team.key, body: size(40_000) });
  t.equal(await team.diskOf(), 40_000);
});

t.test('a resize that goes on after the edge counts as done', async (t) => {
  const team = await newTeam();
  const another = await world.newEdge({ drainMs: 20 });
  const begun = Promise.withResolvers<void>();
  const goOn = Promise.withResolvers<void>();
  t.teardown(() => goOn.resolve());
  const { view, received } = await addSandbox(world, team, {
    resize: async () => {
      begun.resolve();
      await goOn.promise;
      return { ...view, ...size(40_000) };
    },
  });
  const url = new URL(`/v1/sandboxes/${view.id}`, await listenEdge(another, { host: '127.0.0.1', port: 0 }));
  const answer = fetch(url, {
    method: 'PATCH',
    headers: { 'x-api-key': team.key, 'content-type': 'application/json', 'idempotency-key': 'k' },
    body: JSON.stringify(size(40_000)),
  });
  await begun.promise;
  await another.close();
  t.match(await (await answer).json(), { code: 'SERVER_UNREACHABLE' });
  t.equal(await team.diskOf(), 40_000);
  t.same(
    received.map(({ name }) => name),
    ['resize'],
  );
});

t.test('a smaller size is the sandbox’s to refuse, and frees nothing', async (t) => {
  const team = await newTeam();
  const { view } = await addSandbox(world, team, {
    resize: ({ disk_size_mb }: { disk_size_mb: number }) => {
      throw new DormouseError('INVALID_SIZE', 'Smaller.', { data: { disk_size_mb, minimum_mb: 20_480 } });
    },
  });
  const answer = await ask(t, edge, 'PATCH', `/v1/sandboxes/${view.id}`, { key: team.key, body: size(1000) });
  t.match(answer.body, { status: 400, code: 'INVALID_SIZE', disk_size_mb: 1000, minimum_mb: 20_480 });
  t.equal(await team.diskOf(), view.disk_size_mb);
});

t.test('one that is away, gone, or never was', async (t) => {
  const team = await newTeam();
  const away = await addRecord(records, team);
  const gone = await addRecord(records, team, { state: 'destroyed' });
  const patch = async (id: string, body: object = size(40_000)) =>
    (await ask(t, edge, 'PATCH', `/v1/sandboxes/${id}`, { key: team.key, body })).body;
  t.match(await patch(away.id), { code: 'HOST_UNREACHABLE' });
  t.equal(await team.diskOf(), away.disk_size_mb);
  for (const id of [gone.id, newSandboxId()]) t.match(await patch(id), { code: 'SANDBOX_NOT_FOUND' });
  for (const body of [{}, size(63), { ...size(64), x: 1 }, size(1.5)])
    t.match(await patch(away.id, body), { code: 'INVALID_REQUEST' });
});

t.test('forks: by the scheduler, with the count and the key', async (t) => {
  const team = await newTeam();
  const view = await addRecord(records, team);
  const url = `/v1/sandboxes/${view.id}/fork`;
  const one = await ask(t, edge, 'POST', url, { key: team.key });
  t.match(one, { status: 201, body: { sandboxes: [{ team_id: team.id }] } });
  const headers = { 'idempotency-key': 'k' };
  const three = await ask(t, edge, 'POST', url, { key: team.key, body: { count: 3 }, headers });
  t.equal(three.body.sandboxes.length, 3);
  t.match(
    created.map(({ body }) => body),
    [
      { team_id: team.id, sandbox_id: view.id, count: 1 },
      { count: 3, idempotency_key: 'k' },
    ],
  );
  for (const body of [{ count: 0 }, { count: 21 }, { count: '1' }, { x: 1 }])
    t.match((await ask(t, edge, 'POST', url, { key: team.key, body })).body, { code: 'INVALID_REQUEST' });
});
