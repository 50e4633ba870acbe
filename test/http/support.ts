import { createHash, randomUUID } from 'node:crypto';
import { text } from 'node:stream/consumers';
import type { Test } from 'tap';
import type { TSchema } from 'typebox';
import { type HostInfo, hostCommands } from '../../src/actors/host/protocol.ts';
import type { BuildTemplate, TemplateDetails, TemplateRef } from '../../src/actors/host/template-protocol.ts';
import { type SandboxView, sandboxCommands } from '../../src/actors/sandbox/protocol.ts';
import { schedulerCommands } from '../../src/actors/scheduler/protocol.ts';
import type { CommandContext } from '../../src/actors/system/command.ts';
import type { Inspection } from '../../src/actors/system/inspection.ts';
import { HOST_TTL_MS } from '../../src/bus/hosts.ts';
import { problemsOf } from '../../src/bus/schema.ts';
import { hostSubject, SCHEDULER_SUBJECT, sandboxSubject } from '../../src/bus/subjects.ts';
import { type Bus, endpoint, type ServiceEndpoint } from '../../src/bus/types.ts';
import { systemClock } from '../../src/clock.ts';
import { DormouseError } from '../../src/errors/index.ts';
import { createEdge, type EdgeApp, type EdgePorts } from '../../src/http/index.ts';
import { newTemplateId } from '../../src/ids.ts';
import { openRecords } from '../../src/records/index.ts';
import type { Records, Scope } from '../../src/records/types.ts';
import { connectTestBus, exampleHost, exampleHostInspection, exampleView, flushed } from '../support/bus.ts';
import { startTestNats, type TestNats } from '../support/nats.ts';
import { startTestPostgres, type TestPostgres } from '../support/postgres.ts';
import { quiet } from '../support/quiet.ts';
import { exampleTemplateDetails } from '../support/templates.ts';

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
export async function addScheduler(t: Test, { far, records }: TestWorld): Promise<Received[]> {
  const received: Received[] = [];
  const responder = far.serveAll(
    SCHEDULER_SUBJECT,
    [
      endpoint(schedulerCommands.create, async (body, context) => {
        received.push({ name: 'create', body, context });
        return exampleView({ team_id: body.team_id, ...body.options, metadata: body.options.metadata ?? {} });
      }),
      endpoint(schedulerCommands.fork, async (body, context) => {
        const { team_id, sandbox_id, count } = body;
        const parent = await records.findSandbox(team_id, sandbox_id);
        if (!parent) throw new DormouseError('SANDBOX_NOT_FOUND', 'There is no sandbox with this id.');
        received.push({ name: 'fork', body, context });
        const fork = () => exampleView({ team_id, template: parent.template });
        return { sandboxes: Array.from({ length: count }, fork) };
      }),
    ],
    { queue: 'scheduler' },
  );
  t.teardown(() => responder.close());
  await flushed(far);
  return received;
}

/** A host that is in the directory and takes uploads and templates. */
export interface TestHost {
  id: string;
  received: Received[];
  /** What it remembers of its own actor, oldest first; numbered from 1. */
  happened: Inspection[];
  /** What files of sandboxes take, whichever teams they are of. */
  usage: Array<{ team: string; id: string; allocated_bytes: number }>;
  /** Templates that it has, by team and name. */
  templates: Map<string, TemplateDetails>;
  /** Bytes that it has of each upload. */
  uploads: Map<string, number>;
  /** What it answers instead, by command. */
  refuse: Partial<Record<keyof typeof hostCommands, () => Error>>;
  /** Called while it builds. */
  building?: ((context: CommandContext) => void) | undefined;
  /** Tells the directory what it says of itself from now on. It says so again, as a host does, until it leaves. */
  announce(changes: Partial<HostInfo>): Promise<void>;
  /** Takes it out of the directory. */
  leave(): Promise<void>;
}

const keyOf = ({ team_id, name }: TemplateRef): string => `${team_id}/${name}`;

/** A host whose templates are made at once, of whatever bytes. It counts them and drops them. */
export async function addHost(
  t: Test,
  { far }: Pick<TestWorld, 'far'>,
  id = `h-${randomUUID().slice(0, 8)}`,
  changes: Partial<HostInfo> = {},
): Promise<TestHost> {
  let info = { ...exampleHost(id), ...changes };
  let told = Promise.resolve();
  const tell = (): Promise<void> => far.hosts.announce(info);
  const host: TestHost = {
    ...{ id, received: [], happened: [], usage: [] },
    ...{ templates: new Map(), uploads: new Map(), refuse: {} },
    async announce(changes) {
      info = { ...info, ...changes };
      await tell();
    },
    async leave() {
      clearInterval(heartbeat);
      await told;
      await far.hosts.withdraw(id);
    },
  };
  const note = (name: keyof typeof hostCommands, body: unknown, context: CommandContext): void => {
    host.received.push({ name, body, context });
    const refusal = host.refuse[name]?.();
    if (refusal) throw refusal;
  };
  const build = (body: BuildTemplate): TemplateDetails => {
    const { team_id, spec, source, overwrite } = body;
    const key = keyOf({ team_id, name: spec.name });
    if (host.templates.has(key) && !overwrite)
      throw new DormouseError('TEMPLATE_EXISTS', 'There is one of this name.');
    if ('upload_id' in source && !host.uploads.has(source.upload_id))
      throw new DormouseError('UPLOAD_BROKEN', 'It is not there.');
    const details = exampleTemplateDetails({
      id: newTemplateId(),
      team_id,
      host_id: id,
      ...spec,
      source_sandbox_id: 'sandbox_id' in source ? source.sandbox_id : null,
    });
    host.templates.set(key, details);
    return details;
  };
  const responder = far.serveAll(hostSubject(id), [
    endpoint(hostCommands.upload, async (body, context) => {
      note('upload', { ...body, data: body.data.length }, context);
      const there = host.uploads.get(body.upload_id) ?? 0;
      if (body.offset > there) throw new DormouseError('UPLOAD_BROKEN', 'A part is missing.');
      const bytes = Math.max(there, body.offset + Buffer.byteLength(body.data, 'base64'));
      host.uploads.set(body.upload_id, bytes);
      return { bytes };
    }),
    endpoint(hostCommands.discardUpload, async (body, context) => {
      note('discardUpload', body, context);
      host.uploads.delete(body.upload_id);
      return {};
    }),
    endpoint(hostCommands.buildTemplate, async (body, context) => {
      note('buildTemplate', body, context);
      host.building?.(context);
      return build(body);
    }),
    endpoint(hostCommands.deleteTemplate, async (body, context) => {
      note('deleteTemplate', body, context);
      const details = host.templates.get(keyOf(body));
      if (!details) throw new DormouseError('TEMPLATE_NOT_FOUND', 'There is none.');
      host.templates.delete(keyOf(body));
      return details;
    }),
    endpoint(hostCommands.inspect, async (body, context) => {
      note('inspect', body, context);
      const { kind } = body;
      return { now: exampleHostInspection(id, host.happened.length, kind), recent: host.happened };
    }),
    endpoint(hostCommands.holdings, async (body, context) => {
      note('holdings', body, context);
      return { slots: { used: 1, spare: 2 }, loops: [], devices: [], leaks: [] };
    }),
    endpoint(hostCommands.usage, async (body, context) => {
      note('usage', body, context);
      return {
        sandboxes: host.usage.filter(({ team }) => team === body.team_id).map(({ team: _, ...one }) => one),
      };
    }),
  ]);
  t.teardown(() => responder.close());
  await tell();
  // One that fails is noticed by the request that finds no host.
  const heartbeat = setInterval(() => {
    told = tell().catch(() => {});
  }, HOST_TTL_MS / 3);
  t.teardown(() => clearInterval(heartbeat));
  await flushed(far);
  return host;
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
  const answer = await send(edge, {
    method,
    url,
    headers: {
      ...(key !== undefined && { 'x-api-key': key }),
      ...(body !== undefined && { 'content-type': 'application/json' }),
      ...headers,
    },
    payload: body === undefined || typeof body === 'string' ? body : JSON.stringify(body),
  });
  checkAnswer(t, edge, method, url, answer);
  return answer;
}

export interface Sent {
  method: string;
  url: string;
  headers: Record<string, string>;
  payload: string | undefined;
}

/** Sends a request. Of a stream of events, which goes on for as long as it is read, the answer is the head. */
export async function send(edge: EdgeApp, { method, payload, ...sent }: Sent): Promise<Answer> {
  const hangUp = new AbortController();
  const response = await edge.inject({
    ...sent,
    method: method as 'GET',
    ...(payload !== undefined && { payload }),
    payloadAsStream: true,
    signal: hangUp.signal,
  });
  const { statusCode: status, headers } = response;
  const type = String(headers['content-type'] ?? '');
  if (type.startsWith('text/event-stream')) {
    response.stream().on('error', () => {});
    hangUp.abort();
    return { status, headers, text: '', body: undefined };
  }
  const all = await text(response.stream());
  return {
    ...{ status, headers, text: all },
    body: /json(;|$)/.test(type) && !type.includes('ndjson') && all !== '' ? JSON.parse(all) : undefined,
  };
}

/** Holds an answer against the OpenAPI document. */
export function checkAnswer(t: Test, edge: EdgeApp, method: string, url: string, answer: Answer): void {
  // A document without this answer would be a lie; one that has it is silent when all is well.
  const problem = problemOfAnswer(edge, method, url, answer);
  if (problem !== undefined) t.fail(problem);
}

/** What is wrong with an answer by the OpenAPI document; undefined when nothing is. */
export function problemOfAnswer(
  edge: EdgeApp,
  method: string,
  url: string,
  answer: Answer,
): string | undefined {
  const document = edge.swagger() as unknown as OpenapiDocument;
  const path = url.replace(/\?.*/s, '');
  const name = Object.keys(document.paths).find((pattern) =>
    new RegExp(`^${pattern.replace(/\{[^}]+\}/g, '[^/]+')}$`).test(path),
  );
  const operation = name && document.paths[name]?.[method.toLowerCase()];
  const type = String(answer.headers['content-type'] ?? '').split(';')[0] ?? '';
  if (!operation) {
    const isProblem = answer.status < 400 || answer.text === '' || type === 'application/problem+json';
    return isProblem ? undefined : `${method} ${url} is answered with ${answer.status} ${type}`;
  }
  const schema = operation.responses[answer.status]?.content?.[type]?.schema;
  if (!schema)
    return `OpenAPI has no ${answer.status} ${type} of ${method} ${name}: ${answer.text.slice(0, 300)}`;
  if (answer.body === undefined) return undefined;
  const problems = problemsOf(resolveRefs(schema, document) as TSchema, answer.body);
  if (problems.length === 0) return undefined;
  return `${method} ${name} ${answer.status} does not fit OpenAPI: ${JSON.stringify(problems)} ${answer.text.slice(0, 300)}`;
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
