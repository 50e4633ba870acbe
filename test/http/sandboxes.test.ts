import t from 'tap';
import { sandboxCommands } from '../../src/actors/sandbox/protocol.ts';
import { DormouseError } from '../../src/errors/index.ts';
import { newSandboxId } from '../../src/ids.ts';
import { exampleTransition } from '../support/bus.ts';
import { addRecord, addSandbox, addScheduler, ask, startWorld } from './support.ts';

const world = await startWorld(t);
const { edge, records } = world;
const team = await world.newTeam();
const { key } = team;

let created: Awaited<ReturnType<typeof addScheduler>> = [];

t.test('create: refused with a retry while there is no scheduler, done when one has come', async (test) => {
  const answer = await ask(test, edge, 'POST', '/v1/sandboxes', { key, body: {} });
  test.match(answer.body, { status: 503, code: 'NO_HOST_AVAILABLE', retryable: true });
  test.ok(Number(answer.headers['retry-after']) > 0);
  created = await addScheduler(t, world);
  test.equal((await ask(test, edge, 'POST', '/v1/sandboxes', { key, body: {} })).status, 201);
  created.length = 0;
});

t.test('create: only what is given is sent on, the answer says where the sandbox is', async (t) => {
  for (const body of [undefined, {}, ''] as const) {
    const answer = await ask(t, edge, 'POST', '/v1/sandboxes', { key, ...(body !== undefined && { body }) });
    t.equal(answer.status, 201);
    t.equal(answer.headers.location, `/v1/sandboxes/${answer.body.id}`);
    t.same(created.at(-1)?.body, { team_id: team.id, options: {} }, 'the scheduler knows the template');
  }
  const options = { vcpus: 2, timeout_s: 5, on_timeout: 'destroy', metadata: { a: 'b' } };
  await ask(t, edge, 'POST', '/v1/sandboxes', { key, body: options, headers: { 'idempotency-key': 'k1' } });
  t.same(created.at(-1)?.body, {
    team_id: team.id,
    idempotency_key: 'k1',
    options,
  });
});

t.test('create: the trace context goes along', async (t) => {
  const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
  await ask(t, edge, 'POST', '/v1/sandboxes', { key, body: {}, headers: { traceparent } });
  t.equal(created.at(-1)?.context.traceparent, traceparent);
});

t.test('the same Idempotency-Key is the same command id, through any edge; others differ', async (t) => {
  const { view, received } = await addSandbox(world, team);
  const other = await addSandbox(world, team);
  const second = await world.newEdge();
  const url = `/v1/sandboxes/${view.id}`;
  const headers = { 'idempotency-key': 'once' };
  await ask(t, edge, 'POST', `${url}/pause`, { key, headers });
  await ask(t, second, 'POST', `${url}/pause`, { key, headers });
  await ask(t, edge, 'POST', `${url}/resume`, { key, headers });
  await ask(t, edge, 'POST', `${url}/pause`, { key });
  await ask(t, edge, 'POST', `/v1/sandboxes/${other.view.id}/pause`, { key, headers });
  const ids = [...received, ...other.received].map(({ context }) => context.commandId);
  t.equal(ids[0], ids[1]);
  t.match(ids[0], /^k-[0-9a-f]{64}$/);
  t.equal(new Set(ids).size, 4, 'command, sandbox and absence make another');
});

t.test('each command reaches the actor once with its body, and its answer comes back', async (t) => {
  const { view, received } = await addSandbox(world, team);
  const bodies = { pause: {}, resume: {}, restart: {}, ping: { timeout_s: 30 } } as const;
  for (const [name, body] of Object.entries(bodies)) {
    const answer = await ask(t, edge, 'POST', `/v1/sandboxes/${view.id}/${name}`, { key, body });
    t.same([answer.status, answer.body], [200, view], name);
    t.match(received.at(-1), { name, body });
  }
  t.same((await ask(t, edge, 'GET', `/v1/sandboxes/${view.id}`, { key })).body, view);
  t.same((await ask(t, edge, 'DELETE', `/v1/sandboxes/${view.id}`, { key })).body, view);
  t.same(
    received.map(({ name }) => name),
    ['pause', 'resume', 'restart', 'ping', 'get', 'destroy'],
  );
});

t.test('a wrong state is 409 with the state and what is allowed', async (t) => {
  const { view } = await addSandbox(world, team, {
    resume: () => {
      throw new DormouseError('SANDBOX_WRONG_STATE', 'It runs.', {
        data: { state: 'running', allowed: ['pause'] },
      });
    },
  });
  const answer = await ask(t, edge, 'POST', `/v1/sandboxes/${view.id}/resume`, { key });
  t.match(answer.body, {
    type: 'urn:dormouse:error:SANDBOX_WRONG_STATE',
    status: 409,
    detail: 'It runs.',
    state: 'running',
    allowed: ['pause'],
    retryable: false,
  });
  t.match(answer.headers['content-type'], /^application\/problem\+json/);
});

t.test('what a host says of its own failures names no file and no cause', async (t) => {
  const { view } = await addSandbox(world, team, {
    pause: () => {
      throw new DormouseError('SNAPSHOT_INVALID', '/var/lib/dormouse/x/meta.json is not there.', {
        data: { path: '/var/lib/dormouse' },
        cause: new Error('ENOENT /var/lib/secret'),
      });
    },
    get: () => ({
      ...view,
      last_error: { code: 'DISK_FAILED', detail: 'No /var/lib/dormouse/disk.img there.' },
    }),
  });
  const refused = await ask(t, edge, 'POST', `/v1/sandboxes/${view.id}/pause`, { key });
  t.equal(refused.body.detail, '(file) is not there.');
  const seen = await ask(t, edge, 'GET', `/v1/sandboxes/${view.id}`, { key });
  t.equal(seen.body.last_error.detail, 'No (file) there.');
  for (const { text } of [refused, seen]) t.notMatch(text, /var\/lib|ENOENT|\.ts:/);
});

t.test('a host that does not answer: the record for reads, 503 with a retry for commands', async (t) => {
  const view = await addRecord(records, team);
  const read = await ask(t, edge, 'GET', `/v1/sandboxes/${view.id}`, { key });
  t.match(read, { status: 200, body: { id: view.id, state: 'running' } });
  for (const name of ['pause', 'resume', 'restart', 'ping']) {
    const answer = await ask(t, edge, 'POST', `/v1/sandboxes/${view.id}/${name}`, { key });
    t.match(answer.body, { status: 503, code: 'HOST_UNREACHABLE', retryable: true });
    t.ok(Number(answer.headers['retry-after']) > 0);
  }
  t.equal((await ask(t, edge, 'DELETE', `/v1/sandboxes/${view.id}`, { key })).status, 503);
});

t.test(
  'one that is gone: no command finds it, reads and a second destroy answer with its record',
  async (t) => {
    for (const state of ['destroyed', 'failed'] as const) {
      const { id } = await addRecord(records, team, { state });
      t.match((await ask(t, edge, 'POST', `/v1/sandboxes/${id}/resume`, { key })).body, {
        status: 404,
        code: 'SANDBOX_NOT_FOUND',
      });
      for (const method of ['GET', 'DELETE'])
        t.match(await ask(t, edge, method, `/v1/sandboxes/${id}`, { key }), {
          status: 200,
          body: { id, state },
        });
    }
    t.equal((await ask(t, edge, 'DELETE', `/v1/sandboxes/${newSandboxId()}`, { key })).status, 404);
  },
);

t.test('list: by state, by label, page by page', async (t) => {
  const mine = await world.newTeam();
  const make = (changes: object) => addRecord(records, mine, changes);
  const at = (second: number) => new Date(Date.UTC(2026, 0, 1, 0, 0, second)).toISOString();
  const running = await make({ metadata: { user: 'ada', 'a.b': '1' }, created_at: at(1) });
  const paused = await make({ state: 'paused', metadata: { user: 'ada' }, created_at: at(2) });
  const other = await make({ metadata: { user: 'bob', __proto__x: 'y' }, created_at: at(3) });
  const gone = await make({ state: 'destroyed', created_at: at(4) });
  const list = async (query: string): Promise<string[]> => {
    const { status, body } = await ask(t, edge, 'GET', `/v1/sandboxes${query}`, { key: mine.key });
    t.equal(status, 200, JSON.stringify(body));
    return body.sandboxes.map(({ id }: { id: string }) => id);
  };
  t.same(await list(''), [other.id, paused.id, running.id]);
  t.same(await list('?state=paused'), [paused.id]);
  t.same(await list('?state=running,destroyed'), [gone.id, other.id, running.id]);
  t.same(await list('?state=running&state=destroyed'), [gone.id, other.id, running.id]);
  t.same(await list('?metadata.user=ada'), [paused.id, running.id]);
  t.same(await list('?metadata.user=ada&metadata.a.b=1'), [running.id]);
  t.same(await list('?metadata.__proto__=x'), [], 'a label of any allowed name is only a label');
  t.same(await list('?metadata.user=ada&state=paused,running&limit=200'), [paused.id, running.id]);

  const pages: string[] = [];
  let cursor = '';
  for (let page = 0; page < 3; page++) {
    const url = `/v1/sandboxes?limit=1${cursor && `&cursor=${cursor}`}`;
    const { body } = await ask(t, edge, 'GET', url, { key: mine.key });
    pages.push(...body.sandboxes.map(({ id }: { id: string }) => id));
    cursor = body.next_cursor;
  }
  t.same([pages, cursor], [[other.id, paused.id, running.id], null]);
});

t.test('list: what is no filter is refused with its place', async (t) => {
  const refusals: Array<[query: string, path: string]> = [
    ['state=nope', '/state/0'],
    ['state=', '/state/0'],
    ['limit=0', '/limit'],
    ['limit=201', '/limit'],
    ['limit=abc', '/limit'],
    ['limit=1.5', '/limit'],
    ['limit=true', '/limit'],
    ['limit=', '/limit'],
    ['limit=1&limit=2', '/limit'],
    ['cursor=', '/cursor'],
    ['metadata.a=1&metadata.a=2', '/metadata.a'],
    ['metadata.=1', '/metadata.'],
    ['surprise=1', '/surprise'],
    ['__proto__=1', '/__proto__'],
    ['constructor=1', '/constructor'],
  ];
  for (const [query, path] of refusals) {
    const { body } = await ask(t, edge, 'GET', `/v1/sandboxes?${query}`, { key });
    t.match(body, { status: 400, code: 'INVALID_REQUEST', in: 'query', problems: [{ path }] }, query);
  }
  const { body } = await ask(t, edge, 'GET', '/v1/sandboxes?cursor=nonsense', { key });
  t.match(body, { status: 400, code: 'INVALID_REQUEST' });
});

t.test('transitions: in order, page by page, with causes but without paths of the host', async (t) => {
  const { view } = await addSandbox(world, team);
  for (let seq = 1; seq <= 5; seq++) {
    const error = { code: 'DISK_FAILED', detail: 'No /dev/mapper/dm-x found.', causes: ['/var/lib/x: EIO'] };
    await records.applyTransition({ ...exampleTransition(view, seq), ...(seq === 2 && { error }) });
  }
  const url = `/v1/sandboxes/${view.id}/transitions`;
  const all = await ask(t, edge, 'GET', url, { key });
  t.same(seqsOf(all), [1, 2, 3, 4, 5]);
  t.same(all.body.transitions[1].error, {
    code: 'DISK_FAILED',
    detail: 'No (file) found.',
    causes: ['(file): EIO'],
  });
  t.same(seqsOf(await ask(t, edge, 'GET', `${url}?after_seq=2&limit=2`, { key })), [3, 4]);
  t.same(seqsOf(await ask(t, edge, 'GET', `${url}?after_seq=5`, { key })), []);
  for (const query of [
    'after_seq=-1',
    'after_seq=x',
    'limit=0',
    'limit=201',
    'x=1',
    'after_seq=2147483648',
    'after_seq=99999999999999999999',
  ])
    t.match(
      (await ask(t, edge, 'GET', `${url}?${query}`, { key })).body,
      { status: 400, in: 'query' },
      query,
    );
  t.same(seqsOf(await ask(t, edge, 'GET', `${url}?after_seq=2147483647`, { key })), []);
  t.equal((await ask(t, edge, 'GET', `/v1/sandboxes/${newSandboxId()}/transitions`, { key })).status, 404);
});

t.test('every command of the protocol has a route', async (t) => {
  const { paths } = edge.swagger() as unknown as { paths: Record<string, Record<string, unknown>> };
  for (const name of Object.keys(sandboxCommands)) {
    if (name === 'get') t.ok(paths['/v1/sandboxes/{id}']?.get);
    else if (name === 'inspect') t.ok(paths['/v1/sandboxes/{id}/inspection']?.get);
    else if (name === 'destroy') t.ok(paths['/v1/sandboxes/{id}']?.delete);
    else if (name === 'resize') t.ok(paths['/v1/sandboxes/{id}']?.patch);
    else if (name === 'snapshot') t.ok(paths['/v1/snapshots']?.post);
    else t.ok(paths[`/v1/sandboxes/{id}/${name}`]?.post, name);
  }
});

t.test('a reply that is not of the protocol is told as such, and not passed on', async (t) => {
  const { view } = await addSandbox(world, team, { ping: () => ({ surprise: 'a secret' }) });
  const { body } = await ask(t, edge, 'POST', `/v1/sandboxes/${view.id}/ping`, { key });
  t.match(body, { status: 502, code: 'BAD_REPLY' });
  t.notMatch(JSON.stringify(body), /a secret/);
});

t.test('many at the same time are each answered with their own', async (t) => {
  const sandboxes = await Promise.all(Array.from({ length: 20 }, () => addSandbox(world, team)));
  const answers = await Promise.all(
    sandboxes.flatMap(({ view }) =>
      ['pause', 'ping', 'resume'].map((name) =>
        ask(t, edge, 'POST', `/v1/sandboxes/${view.id}/${name}`, { key }),
      ),
    ),
  );
  t.same(
    answers.map(({ body }) => body.id),
    sandboxes.flatMap(({ view }) => [view.id, view.id, view.id]),
  );
});

function seqsOf({ body }: { body: { transitions: Array<{ seq: number }> } }): number[] {
  return body.transitions.map(({ seq }) => seq);
}
