import Fastify from 'fastify';
import t from 'tap';
import type { TSchema } from 'typebox';
import { Compile } from 'typebox/compile';
import { catalogue, isErrorCode } from '../../src/errors/index.ts';
import { addRules, type RouteRules } from '../../src/http/plugins/rules.ts';
import type { EdgeApp } from '../../src/http/ports.ts';
import { type OpenapiDocument, resolveRefs, startWorld } from './support.ts';

const world = await startWorld(t);
const { edge } = world;
const response = await edge.inject('/openapi.json');
const document = response.json<OpenapiDocument>();
const operations = Object.entries(document.paths).flatMap(([path, methods]) =>
  Object.entries(methods).map(([method, operation]) => ({ name: `${method} ${path}`, path, operation })),
);

t.test('the document has a version, every route once, and every reference leads somewhere', async (t) => {
  t.match(document, { openapi: /^3\.1/, info: { title: 'Dormouse', version: '0.0.0' } });
  t.ok(operations.length >= 30, `${operations.length} operations`);
  const ids = operations.map(({ operation }) => operation.operationId);
  t.equal(new Set(ids).size, ids.length);
  for (const name of [
    'Sandbox',
    'Transition',
    'ExecReply',
    'Inspection',
    'Template',
    'AdminTemplate',
    'Team',
    'ApiKey',
    'AuditEntry',
    'Problem',
  ])
    t.ok(document.components.schemas[name], name);
  t.doesNotThrow(() => resolveRefs(document.paths, document));
  t.notMatch(response.body, /"\$ref":"(?!#\/components\/schemas\/)|"def-\d/);
});

t.test('every schema of the document can be compiled; every path parameter is declared', async (t) => {
  for (const { name, path, operation } of operations) {
    const schemas = [
      ...(operation.parameters ?? []).map(({ schema }) => schema),
      ...Object.values(operation.requestBody?.content ?? {}).map(({ schema }) => schema),
      ...Object.values(operation.responses).flatMap(({ content = {} }) =>
        Object.values(content).map((c) => c.schema),
      ),
    ];
    for (const schema of schemas)
      t.doesNotThrow(() => Compile(resolveRefs(schema, document) as TSchema), name);
    const declared = operation.parameters?.filter((one) => one.in === 'path').map((one) => one.name) ?? [];
    t.same(
      declared,
      [...path.matchAll(/\{(\w+)\}/g)].map(([, parameter]) => parameter),
      `${name} declares its path`,
    );
  }
});

t.test('every route lists its errors by status and code, those of every key among them', async (t) => {
  for (const { name, operation } of operations.filter(({ path }) => path.startsWith('/v1'))) {
    const codes = Object.entries(operation.responses).flatMap(([status, { content }]) => {
      const schema = content?.['application/problem+json']?.schema as ProblemSchema | undefined;
      const listed = schema?.allOf[1]?.properties.code.enum ?? [];
      for (const code of listed)
        t.ok(isErrorCode(code) && String(catalogue[code].status) === status, `${name} ${status} ${code}`);
      return listed;
    });
    for (const code of ['UNAUTHENTICATED', 'FORBIDDEN', 'RATE_LIMITED', 'INTERNAL'])
      t.ok(codes.includes(code), name);
  }
});

t.test('what changes something takes an Idempotency-Key, but for what admins do', async (t) => {
  for (const { name, path, operation } of operations) {
    const takes = operation.parameters?.some((one) => one.in === 'header' && one.name === 'idempotency-key');
    const changes = path.startsWith('/v1') && !name.startsWith('get ') && !path.startsWith('/v1/admin');
    t.equal(takes ?? false, changes, name);
  }
});

t.test('the body of a create may be empty: all of it has defaults', async (t) => {
  const schema = document.paths['/v1/sandboxes']?.post?.requestBody?.content['application/json']?.schema;
  t.notOk((schema as { required?: unknown }).required);
  t.match(schema, { properties: { disk_size_mb: { default: 20480 } }, additionalProperties: false });
});

t.test('the body of an upload is bytes, of several types, or JSON', async (t) => {
  const content = document.paths['/v1/templates']?.post?.requestBody?.content ?? {};
  for (const type of [
    'application/x-tar',
    'application/gzip',
    'application/zstd',
    'application/octet-stream',
  ])
    t.same(content[type]?.schema, { type: 'string', format: 'binary' }, type);
  t.match(content['application/json']?.schema, { required: ['name', 'sandbox_id'] });
});

t.test('routes without a key say so', async (t) => {
  for (const { path, operation, name } of operations)
    t.same(operation.security, path.startsWith('/v1') ? undefined : [], name);
});

t.test('a route under /v1 that declares too little keeps the edge from starting', async (t) => {
  const schema = { operationId: 'x', summary: 'X.', response: { 200: {} } };
  const rules: RouteRules = { scope: 'read', owner: 'team', errors: [] };
  const add = (url: string, changes: object) => () => {
    const app = Fastify() as unknown as EdgeApp;
    addRules(app);
    app.get(url, { schema, config: { rules }, ...changes }, async () => ({}));
  };
  t.doesNotThrow(add('/v1/x', {}));
  t.throws(add('/v1/x', { config: {} }), /declares no rules/);
  t.throws(add('/v1/x', { schema: { ...schema, response: undefined } }), /declares no schema/);
  t.throws(add('/v1/x', { schema: { response: schema.response } }), /declares no summary/);
  t.throws(add('/v1/x/:id', {}), /declares no schema of its path/);
  t.throws(add('/v1/x/:id', { schema: { ...schema, params: {} } }), /declares no owner/);
  t.throws(add('/v1/x/*', {}), /declares no owner/, 'a path that names anything belongs to nobody');
  const path = { schema: { ...schema, params: {} } };
  const owned = (owner: string, scope = 'read') => ({
    ...path,
    config: { rules: { ...rules, owner, scope } },
  });
  for (const [url, owner] of [
    ['/v1/sandboxes/:id/x', 'sandbox'],
    ['/v1/templates/:name', 'template'],
    ['/v1/snapshots/:name', 'snapshot'],
  ] as const) {
    t.doesNotThrow(add(url, owned(owner)), url);
    for (const other of ['team', 'admin', 'x']) t.throws(add(url, owned(other)), /declares no owner/);
  }
  t.throws(add('/v1/admin/x', owned('team')), /declares no owner/);
  t.throws(add('/v1/admin/x', owned('admin')), /declares no scope that fits/);
  t.throws(add('/v1/x', owned('team', 'admin')), /declares no scope that fits/);
  t.doesNotThrow(add('/v1/admin/x/:team', owned('admin', 'admin')));
  t.throws(add('/v1/x', { config: { rules: { ...rules, owner: 'sandbox' } } }), /declares no owner/);
});

t.test(
  '/docs works without a network: nothing is loaded from elsewhere, and the policy forbids it',
  async (t) => {
    const page = await edge.inject('/docs');
    t.equal(page.statusCode, 200);
    const loaded = [...page.body.matchAll(/(?:src|href)="([^"]+)"/g)].map(([, address = '']) => address);
    t.ok(loaded.length > 3);
    for (const address of loaded) {
      t.notMatch(address, /^(https?:)?\/\//);
      const file = await edge.inject(new URL(address, 'http://edge/docs').pathname);
      t.equal(file.statusCode, 200, address);
    }
    t.notMatch(page.body, /<script>/, 'no script that the policy would stop');
    const policy = String(page.headers['content-security-policy']);
    t.notMatch(policy, /https?:|validator|script-src[^;]*unsafe/);
    const start = await edge.inject('/docs/static/swagger-initializer.js');
    t.match(start.body, /\/openapi\.json/);
  },
);

interface ProblemSchema {
  allOf: [unknown, { properties: { code: { enum: string[] } } }];
}
