import { createHash, randomUUID } from 'node:crypto';
import type { Test } from 'tap';
import type { TSchema } from 'typebox';
import { SandboxOptions, type SandboxView, sandboxCommands } from '../../src/actors/sandbox/protocol.ts';
import { schedulerCommands } from '../../src/actors/scheduler/protocol.ts';
import type { CommandContext } from '../../src/actors/system/command.ts';
import { problemsOf } from '../../src/bus/schema.ts';
import { SCHEDULER_SUBJECT, sandboxSubject } from '../../src/bus/subjects.ts';
import { type Bus, endpoint, type ServiceEndpoint } from '../../src/bus/types.ts';
import { systemClock } from '../../src/clock.ts';
import { createEdge, type EdgeApp, type EdgePorts } from '../../src/http/index.ts';
import { openRecords } from '../../src/records/index.ts';
import type { Records, Scope } from '../../src/records/types.ts';
import { connectTestBus, exampleView, flushed } from '../support/bus.ts';
import { startTestNats, type TestNats } from '../support/nats.ts';
import { startTestPostgres, type TestPostgres } from '../support/postgres.ts';
import { quiet } from '../support/quiet.ts';

/** An edge over a real bus and real records. What is on the other side of the bus, a test serves itself. */
export interface TestWorld {
  nats: TestNats;
  postgres: TestPostgres;
  /** The bus of the hosts and the scheduler. */
  far: Bus;
  /** The edge's own bus. */
  bus: Bus;
  records: Records;
  edge: EdgeApp;
  /** A second edge on the same bus and records, with an empty cache. */
  newEdge(ports?: Partial<EdgePorts>): Promise<EdgeApp>;
  /** A team with a key that has these scopes (all, when none are named). */
  newTeam(scopes?: readonly Scope[]): Promise<Team>;
}

export interface Team {
  id: string;
  key: string;
}

export interface Answer {
  status: number;
  headers: Record<string, unknown>;
  text: string;
  // biome-ignore lint/suspicious/noExplicitAny: tests look into answers of every form
  body: any;
}

/** Handlers by command; those that are absent answer with the sandbox as it is. */
export type Handlers = Partial<
  Record<keyof typeof sandboxCommands, (body: never, context: CommandContext) => unknown>
>;

export async function startWorld(t: Test): Promise<TestWorld> {
  const [nats, postgres] = await Promise.all([startTestNats(t, 'max_payload: 8MB'), startTestPostgres(t)]);
  const [far, bus, records] = await Promise.all([
    connectTestBus(t, nats.url),
    connectTestBus(t, nats.url),
    openRecords({ url: postgres.url, clock: systemClock, log: quiet }),
  ]);
  t.teardown(() => records.close());
  const newEdge = async (ports: Partial<EdgePorts> = {}): Promise<EdgeApp> => {
    const edge = await createEdge({
      bus,
      records,
      clock: systemClock,
      log: quiet,
      version: '0.0.0',
      ...ports,
    });
    t.teardown(() => edge.close());
    return edge;
  };
  return {
    nats,
    postgres,
    far,
    bus,
    records,
    edge: await newEdge(),
    newEdge,
    async newTeam(scopes = ['read', 'write', 'admin']) {
      const team = { id: randomUUID(), key: `dm_${randomUUID()}` };
      await addKey(records, team, scopes);
      return team;
    },
  };
}

/** Makes sure that the team has the key. */
export async function addKey(records: Records, { id, key }: Team, scopes: readonly Scope[]): Promise<void> {
  await records.ensureKey({
    teamId: id,
    teamName: 'test',
    keyHash: createHash('sha256').update(key).digest('hex'),
    prefix: key.slice(0, 8),
    name: 'test',
    scopes,
  });
}

/** A sandbox of the team that is in the records and answers on the bus. */
export async function addSandbox(
  { far, records }: TestWorld,
  team: Team,
  handlers: Handlers = {},
  changes: Partial<SandboxView> = {},
): Promise<{ view: SandboxView; received: Received[]; leave(): Promise<void> }> {
  const view = await addRecord(records, team, changes);
  const received: Received[] = [];
  const endpoints = Object.values(sandboxCommands).map((command): ServiceEndpoint => {
    const handler = handlers[command.name as keyof Handlers];
    return endpoint(command as never, async (body: never, context: CommandContext) => {
      received.push({ name: command.name, body, context });
      return (handler ? await handler(body, context) : view) as never;
    });
  });
  const responder = far.serveAll(sandboxSubject(team.id, view.id), endpoints);
  await flushed(far);
  return { view, received, leave: () => responder.close() };
}

export interface Received {
  name: string;
  body: unknown;
  context: CommandContext;
}

/** A sandbox that is in the records only: its host does not answer. */
export async function addRecord(
  records: Records,
  team: Team,
  changes: Partial<SandboxView> = {},
): Promise<SandboxView> {
  const view = exampleView({ team_id: team.id, ...changes });
  await records.claimSandbox({ view, idempotencyKey: undefined, requestHash: '0'.repeat(64) });
  return view;
}

/** A scheduler that makes every sandbox at once. Returns what it was asked. */
export async function addScheduler(t: Test, { far }: TestWorld): Promise<Received[]> {
  const received: Received[] = [];
  const responder = far.serveAll(
    SCHEDULER_SUBJECT,
    [
      endpoint(schedulerCommands.create, async (body, context) => {
        received.push({ name: 'create', body, context });
        return exampleView({ team_id: body.team_id, ...body.options, metadata: body.options.metadata ?? {} });
      }),
    ],
    { queue: 'scheduler' },
  );
  t.teardown(() => responder.close());
  await flushed(far);
  return received;
}

export interface Ask {
  key?: string | undefined;
  body?: unknown;
  headers?: Record<string, string>;
}

/**
 * Sends a request, and holds the answer against the OpenAPI document: its status must be declared for the route, its body
 * must fit the schema. `body`: a string is sent as it is, everything else as JSON.
 */
export async function ask(
  t: Test,
  edge: EdgeApp,
  method: string,
  url: string,
  { key, body, headers = {} }: Ask = {},
): Promise<Answer> {
  const response = await edge.inject({
    method: method as 'GET',
    url,
    headers: {
      ...(key !== undefined && { 'x-api-key': key }),
      ...(body !== undefined && { 'content-type': 'application/json' }),
      ...headers,
    },
    ...(body !== undefined && { payload: typeof body === 'string' ? body : JSON.stringify(body) }),
  });
  const type = String(response.headers['content-type'] ?? '');
  const answer: Answer = {
    status: response.statusCode,
    headers: response.headers,
    text: response.body,
    body: /json(;|$)/.test(type) && response.body !== '' ? JSON.parse(response.body) : undefined,
  };
  checkAnswer(t, edge, method, url, answer);
  return answer;
}

/** Holds an answer against the OpenAPI document. */
export function checkAnswer(t: Test, edge: EdgeApp, method: string, url: string, answer: Answer): void {
  const document = edge.swagger() as unknown as OpenapiDocument;
  const path = url.replace(/\?.*/s, '');
  const name = Object.keys(document.paths).find((pattern) =>
    new RegExp(`^${pattern.replace(/\{[^}]+\}/g, '[^/]+')}$`).test(path),
  );
  const operation = name && document.paths[name]?.[method.toLowerCase()];
  const type = String(answer.headers['content-type'] ?? '').split(';')[0] ?? '';
  if (!operation) {
    if (answer.status >= 400 && answer.text !== '')
      t.equal(type, 'application/problem+json', `${method} ${url}`);
    return;
  }
  const schema = operation.responses[answer.status]?.content?.[type]?.schema;
  if (!schema || answer.body === undefined) {
    // A document without this answer would be a lie; one that has it is silent when all is well.
    if (!schema)
      t.fail(`OpenAPI has no ${answer.status} ${type} of ${method} ${name}: ${answer.text.slice(0, 300)}`);
    return;
  }
  const problems = problemsOf(resolveRefs(schema, document) as TSchema, answer.body);
  if (problems.length > 0) t.same(problems, [], `${method} ${name} ${answer.status} fits OpenAPI`);
}

export interface OpenapiDocument {
  openapi: string;
  info: { title: string; version: string };
  paths: Record<string, Record<string, OpenapiOperation>>;
  components: { schemas: Record<string, unknown> };
}

export interface OpenapiOperation {
  operationId: string;
  summary: string;
  security?: unknown[];
  parameters?: Array<{ name: string; in: string; required?: boolean; schema: unknown }>;
  requestBody?: { content: Record<string, { schema: unknown }> };
  responses: Record<string, { description: string; content?: Record<string, { schema: unknown }> }>;
}

/** The schema with what its references stand for in their place. Throws when one leads nowhere. */
export function resolveRefs(schema: unknown, document: OpenapiDocument): unknown {
  if (Array.isArray(schema)) return schema.map((one) => resolveRefs(one, document));
  if (schema === null || typeof schema !== 'object') return schema;
  const { $ref } = schema as { $ref?: unknown };
  if (typeof $ref === 'string') {
    const target = document.components.schemas[$ref.replace('#/components/schemas/', '')];
    if (!target) throw new Error(`${$ref} leads nowhere`);
    return resolveRefs(target, document);
  }
  return Object.fromEntries(
    Object.entries(schema).map(([key, value]) => [key, resolveRefs(value, document)]),
  );
}

/** The options of a create with all defaults. */
export const DEFAULT_OPTIONS = Object.fromEntries(
  Object.entries(SandboxOptions.properties).flatMap(([name, schema]) =>
    'default' in schema ? [[name, schema.default]] : [],
  ),
);
