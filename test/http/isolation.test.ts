import fc from 'fast-check';
import t from 'tap';
import { newSandboxId } from '../../src/ids.ts';
import { exampleTransition } from '../support/bus.ts';
import { addRecord, addSandbox, addScheduler, ask, type OpenapiDocument, startWorld } from './support.ts';

const world = await startWorld(t);
const { edge, records } = world;
const created = await addScheduler(t, world);
const document = edge.swagger() as unknown as OpenapiDocument;
/** Every route that takes a key. */
const routes = Object.entries(document.paths)
  .filter(([path]) => path.startsWith('/v1'))
  .flatMap(([path, operations]) =>
    Object.keys(operations).map((method) => ({
      method: method.toUpperCase(),
      path,
      hasId: path.includes('{id}'),
    })),
  );
const validBody = (path: string): object => (path.endsWith('/exec') ? { cmd: 'true' } : {});

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
    const withId = routes.filter(({ hasId }) => hasId);
    t.ok(withId.length >= 8, `${withId.length} routes`);
    for (const { method, path } of withId) {
      const answerFor = async (id: string) => {
        const { status, text, headers } = await ask(t, edge, method, path.replace('{id}', id), {
          key: stranger.key,
          headers: { 'x-request-id': 'the-same' },
          ...(method === 'POST' && { body: validBody(path) }),
        });
        return { status, text, headers: { ...headers, date: null } };
      };
      const expected = await answerFor(never);
      t.equal(expected.status, 404, `${method} ${path}`);
      t.match(JSON.parse(expected.text), { code: 'SANDBOX_NOT_FOUND' });
      for (const { id } of [active.view, asleep, gone])
        t.same(await answerFor(id), expected, `${method} ${path} ${id}`);
    }
    t.same(active.received, [], 'nothing reached the sandbox');
  },
);

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

t.test(
  'whatever is sent to whichever route: never a 5xx, and nothing that is refused reaches the bus',
  async (t) => {
    const team = await world.newTeam();
    const { view, received } = await addSandbox(world, team, { exec: () => execReply });
    const field = fc.oneof(
      fc.constantFrom(
        'template',
        'vcpus',
        'metadata',
        'timeout_s',
        'on_timeout',
        'cmd',
        'argv',
        'env',
        'stdin',
      ),
      fc.string(),
    );
    const body = fc.oneof(
      fc.json(),
      fc.dictionary(field, fc.jsonValue(), { maxKeys: 4 }).map((value) => JSON.stringify(value)),
      fc.string({ unit: 'binary' }),
    );
    const query = fc.dictionary(
      fc.oneof(fc.constantFrom('state', 'limit', 'cursor', 'metadata.a', 'after_seq'), fc.string()),
      fc.string({ unit: 'binary' }),
      { maxKeys: 3 },
    );
    const seed = Number(process.env.DORMOUSE_TEST_SEED ?? Date.now() % 2 ** 31);
    t.comment(`seed ${seed} (DORMOUSE_TEST_SEED repeats it)`);
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...routes), body, query, async ({ method, path }, text, search) => {
        const before = received.length + created.length;
        const url = `${path.replace('{id}', view.id)}?${new URLSearchParams(Object.entries(search))}`;
        const isQuery = method === 'GET';
        const answer = await edge.inject({
          method: method as 'GET',
          url: isQuery ? url : url.replace(/\?.*/s, ''),
          headers: { 'x-api-key': team.key, 'content-type': 'application/json' },
          ...(!isQuery && { payload: text }),
        });
        if (answer.statusCode >= 500) throw new Error(`${method} ${url}: ${answer.body}`);
        const sent = received.length + created.length - before;
        if (answer.statusCode >= 400 && sent > 0) throw new Error(`refused, but sent: ${answer.body}`);
        if (answer.statusCode >= 400 && !isProblem(answer.json()))
          throw new Error(`no problem document: ${answer.body}`);
      }),
      { seed, numRuns: 400 },
    );
  },
);

function isProblem(value: Record<string, unknown>): boolean {
  return ['type', 'title', 'status', 'detail', 'code', 'instance', 'retryable'].every(
    (member) => member in value,
  );
}

const execReply = {
  exit_code: 0,
  signal: null,
  timed_out: false,
  stdout: '',
  stdout_encoding: 'utf8',
  stdout_truncated: false,
  stderr: '',
  stderr_encoding: 'utf8',
  stderr_truncated: false,
  duration_ms: 1,
};
