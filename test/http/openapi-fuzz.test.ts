import fc, { type Arbitrary } from 'fast-check';
import t from 'tap';
import { systemClock } from '../../src/clock.ts';
import { catalogue, type ErrorCode } from '../../src/errors/index.ts';
import { DEFAULT_TEAM_ID, newSandboxId, PLATFORM_TEAM_ID } from '../../src/ids.ts';
import { openDatabase } from '../../src/records/database.ts';
import { templateRecordOf } from '../../src/records/template-record.ts';
import { exampleInspection, exampleTransition } from '../support/bus.ts';
import { execReply } from '../support/exec-reply.ts';
import { quiet } from '../support/quiet.ts';
import { exampleTemplateDetails } from '../support/templates.ts';
import { fitting, nearlyFitting } from './schema-arbitrary.ts';
import {
  addHost,
  addRecord,
  addSandbox,
  addScheduler,
  type OpenapiDocument,
  type OpenapiOperation,
  problemOfAnswer,
  resolveRefs,
  type Sent,
  send,
  startWorld,
} from './support.ts';

/**
 * The whole OpenAPI document, read as a promise: requests are made from it, such that fit, such that nearly do, and such
 * that do not, for every operation, and every answer is held against it.
 */
const world = await startWorld(t);
const { edge, records, postgres } = world;
const document = edge.swagger() as unknown as OpenapiDocument;

const admin = await world.newTeam();
const stranger = await world.newTeam();
const created = await addScheduler(t, world);
const host = await addHost(t, world, 'h-fuzz');
const template = (name: string, team_id = admin.id) =>
  exampleTemplateDetails({ team_id, name, host_id: host.id });
for (const details of [
  template('mine'),
  template('minimal', PLATFORM_TEAM_ID),
  { ...template('kept'), kind: 'snapshot' as const },
  template('theirs', stranger.id),
]) {
  await records.upsertTemplate(templateRecordOf(details), new Date());
  host.templates.set(`${details.team_id}/${details.name}`, details);
}
await records.upsertTemplate(templateRecordOf({ ...template('away'), host_id: 'h-away' }), new Date());
const own = await addSandbox(
  world,
  admin,
  {
    exec: () => execReply,
    inspect: () => exampleInspection(own.view, 1),
    snapshot: ({ name, memory }: { name: string; memory: boolean }) => ({ ...template(name), memory }),
    fork: () => ({ sandboxes: [] }),
  },
  { host_id: host.id },
);
await records.applyTransition(exampleTransition(own.view, 1));
const away = await addRecord(records, admin, { host_id: 'h-away' });
const foreign = await addRecord(records, stranger);
const victim = await records.createTeam({
  name: 'victim',
  quota: { sandboxes: 1, vcpus: null, memoryMb: null, diskMb: null },
});
const victimKey = await records.createKey({
  teamId: victim.id,
  hash: '0'.repeat(64),
  prefix: 'dm_x',
  name: 'x',
  scopes: ['read'],
  expiresAt: null,
});

/** What is there, by the name of a path's parameter. The admin's own team and key are not among it: they have to last. */
const KNOWN: Record<string, string[]> = {
  id: [own.view.id, away.id, foreign.id, newSandboxId()],
  name: ['mine', 'minimal', 'kept', 'theirs', 'away', 'nothing'],
  team: [victim.id, stranger.id, DEFAULT_TEAM_ID, PLATFORM_TEAM_ID],
  key: [victimKey.id, victim.id],
  host: [host.id, 'h-away'],
  kind: ['sandbox', 'host', 'loop-registry'],
};

const METHODS = ['GET', 'POST', 'PUT', 'PATCH', 'DELETE'];
const TYPES = [
  'application/json',
  'application/x-tar',
  'text/plain',
  'application/json; charset=x',
  'nonsense',
  '',
];

function mostly<T>(one: Arbitrary<T>, other: Arbitrary<T>): Arbitrary<T> {
  return fc.oneof({ weight: 4, arbitrary: one }, { weight: 1, arbitrary: other });
}

/** Requests for an operation. */
function requestsFor(path: string, method: string, operation: OpenapiOperation): Arbitrary<Sent> {
  const parameters = (operation.parameters ?? []).map((one) => ({
    ...one,
    schema: resolveRefs(one.schema, document) as Parameters<typeof fitting>[0],
  }));
  const inPath = fc.record(
    Object.fromEntries(
      parameters
        .filter((one) => one.in === 'path')
        .map(({ name }) => [
          name,
          mostly(fc.constantFrom(...(KNOWN[name] ?? ['x'])), fc.string({ minLength: 1 })),
        ]),
    ),
  );
  const inQuery = fc.tuple(
    fc.record(
      Object.fromEntries(
        parameters
          .filter((one) => one.in === 'query')
          .map(({ name, schema }) => [name, mostly(fitting(schema), fc.string({ unit: 'binary' }))]),
      ),
      { requiredKeys: [] },
    ),
    mostly(
      fc.constant({}),
      fc.dictionary(fc.oneof(fc.constantFrom('metadata.a', 'env.A'), fc.string()), fc.string(), {
        maxKeys: 2,
      }),
    ),
  );
  const inHeaders = fc.record(
    Object.fromEntries(
      parameters
        .filter((one) => one.in === 'header')
        .map(({ name, schema }) => [name, mostly(fitting(schema), fc.string())]),
    ),
    { requiredKeys: [] },
  );
  return fc
    .tuple(
      mostly(fc.constant(method.toUpperCase()), fc.constantFrom(...METHODS)),
      inPath,
      inQuery,
      inHeaders,
      bodiesFor(operation),
      fc.constantFrom('', 'application/x-ndjson', '*/*', 'text/event-stream'),
    )
    .map(([sentMethod, names, [query, more], headers, [type, payload], accept]) => {
      const target = path.replace(/\{(\w+)\}/g, (_, name) => encodeURIComponent(String(names[name])));
      const search = new URLSearchParams(
        Object.entries({ ...query, ...more }).map(([name, value]): [string, string] => [name, String(value)]),
      );
      return {
        method: sentMethod,
        url: `${target}${search.size > 0 ? `?${search}` : ''}`,
        headers: {
          ...(headers as Record<string, string>),
          ...(type !== '' && { 'content-type': type }),
          ...(accept !== '' && { accept }),
        },
        payload: sentMethod === 'GET' ? undefined : payload,
      };
    });
}

/** A content type and a body for an operation. */
function bodiesFor({
  requestBody,
}: OpenapiOperation): Arbitrary<[type: string, payload: string | undefined]> {
  const none = fc.constant<[string, undefined]>(['', undefined]);
  const garbage = fc.tuple(
    fc.constantFrom(...TYPES),
    fc.oneof(fc.json(), fc.string({ unit: 'binary' }), fc.constant('{"__proto__":1}')),
  );
  const declared = Object.entries(requestBody?.content ?? {});
  if (declared.length === 0) return mostly<[string, string | undefined]>(none, garbage);
  const fits = fc.oneof(
    ...declared.map(([type, { schema }]) => {
      const resolved = resolveRefs(schema, document) as Parameters<typeof fitting>[0] & { format?: string };
      if (resolved.format === 'binary') return fc.tuple(fc.constant(type), fc.string({ unit: 'binary' }));
      const values = fc.oneof(fitting(resolved), nearlyFitting(resolved)).map(naming);
      return fc.tuple(
        fc.constant(type),
        values.map((value) => JSON.stringify(value) ?? ''),
      );
    }),
  );
  return mostly<[string, string | undefined]>(fits, fc.oneof(none, garbage));
}

/** A body that names a sandbox mostly names one that is there: an id from the schema alone would never be. */
function naming(value: unknown): unknown {
  if (typeof value !== 'object' || value === null || !('sandbox_id' in value)) return value;
  const { sandbox_id } = value;
  if (typeof sandbox_id !== 'string' || !/[aeimquy]$/.test(sandbox_id)) return value;
  return { ...value, sandbox_id: own.view.id };
}

/** Everything that a request could change: the records, and what hosts, sandboxes and scheduler were asked to do. */
const db = openDatabase({ url: postgres.url, clock: systemClock, log: quiet });
t.teardown(() => db.close());
const QUERY = [
  // A reservation that is no larger than the disk is none.
  [
    'sandboxes',
    "(to_jsonb(t) - 'reserved_disk_mb')::text || greatest(t.disk_size_mb, t.reserved_disk_mb)",
    'id',
  ],
  ['templates', 't::text', 'team_id, name'],
  ['teams', 't::text', 'id'],
  // When a key was last used is no matter of what is asked for.
  ['api_keys', "(to_jsonb(t) - 'last_used_at')::text", 'id'],
]
  .map(
    ([table, row, order]) =>
      `(select md5(coalesce(string_agg(${row}, '|' order by ${order}), '')) from ${table} t)`,
  )
  .join(' || ');
const orders = () => [...own.received, ...created].filter(({ name }) => name !== 'get').length;

async function state(): Promise<string> {
  const [row] = await db.run((em) =>
    em.getConnection().execute<Array<{ all: string }>>(`select ${QUERY} as all`),
  );
  return JSON.stringify([row?.all, orders(), [...host.templates.keys()], [...host.uploads]]);
}

const operations = Object.entries(document.paths).flatMap(([path, methods]) =>
  Object.entries(methods).map(([method, operation]) => ({ path, method, operation })),
);
const seed = Number(process.env.DORMOUSE_TEST_SEED ?? Date.now() % 2 ** 31);
const numRuns = Number(process.env.DORMOUSE_TEST_RUNS ?? 40);
t.comment(`seed ${seed} (DORMOUSE_TEST_SEED repeats it), ${numRuns} requests for each operation`);

for (const { path, method, operation } of operations) {
  t.test(`${method} ${path}`, async (t) => {
    const seen = new Map<number, number>();
    await fc.assert(
      fc.asyncProperty(requestsFor(path, method, operation), async (sent) => {
        const before = await state();
        const answer = await send(edge, { ...sent, headers: { 'x-api-key': admin.key, ...sent.headers } });
        seen.set(answer.status, (seen.get(answer.status) ?? 0) + 1);
        const fail = (why: string): never => {
          throw new Error(
            `${sent.method} ${sent.url} ${sent.payload}: ${why}: ${answer.status} ${answer.text}`,
          );
        };
        // A path with a parameter that has a slash or is empty is another path.
        const misfit = problemOfAnswer(edge, sent.method, sent.url, answer);
        if (misfit !== undefined) fail(misfit);
        if (answer.status >= 500) {
          const code = answer.body?.code as ErrorCode;
          if (catalogue[code]?.answer !== 'retry' || answer.status === 500) fail('a failure of the server');
        }
        if (answer.status >= 400 && (await state()) !== before) fail('refused, but something changed');
      }),
      { seed, numRuns },
    );
    t.comment(
      [...seen]
        .sort()
        .map(([status, count]) => `${status}: ${count}`)
        .join(', '),
    );
    t.pass('every answer is one that the document promises');
  });
}
