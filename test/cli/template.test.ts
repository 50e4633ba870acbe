import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { Readable } from 'node:stream';
import { execa } from 'execa';
import t from 'tap';
import { buildDisplay, describeProgress } from '../../src/cli/build-progress.ts';
import { systemClock } from '../../src/clock.ts';
import { presentTemplate } from '../../src/http/templates.ts';
import { newSandboxId } from '../../src/ids.ts';
import { templateRecordOf } from '../../src/records/template-record.ts';
import { exampleTemplateDetails } from '../support/templates.ts';
import { Refusal, startTestEdge } from './edge.ts';
import { dormouse, finished, json, lines, MAIN, startNode, temporaryFolder } from './support.ts';

t.jobs = 2;

const python = presentTemplate(
  templateRecordOf(exampleTemplateDetails({ name: 'python', env: { A: 'b' }, allocated_bytes: 3 * 2 ** 20 })),
);
const saved = { ...python, name: 'saved', owner: 'team' as const, kind: 'snapshot' as const, memory: true };

t.test('a build that is stopped says no more than is true', async (t) => {
  let arrived = (): void => {};
  const asked = new Promise<void>((resolve) => {
    arrived = resolve;
  });
  const edge = await startTestEdge(t, {
    routes: (app) =>
      app.post('/v1/templates', () => {
        arrived();
        // Only the end of the connection ends it.
        return new Promise(() => {});
      }),
  });
  const build = ['template', 'build', '--from-sandbox', newSandboxId(), '-t', 'python'];
  const child = startNode([MAIN, ...build], edge.settings);
  await asked;
  child.kill('SIGINT');
  const { status, stderr } = await finished(child);
  t.equal(status, 130);
  t.match(stderr, /unless that was done already: `dormouse template get python` tells/);
});

t.test('build sends a file with what was given, and nothing else', async (t) => {
  const edge = await startTestEdge(t, {
    routes: (app) =>
      app.post('/v1/templates', async (_request, reply) =>
        reply
          .type('application/x-ndjson')
          .send(
            Readable.from([
              '{"progress":{"stage":"uploading","done_bytes":3,"total_bytes":3}}\n\n',
              '{"progress":{"stage":"unpacking","done_bytes":null,"total_bytes":null,"message":"left out: dev/null"}}\n',
              `${JSON.stringify({ template: python })}\n`,
            ]),
          ),
      ),
  });
  const file = path.join(await temporaryFolder(t), 'rootfs.tar');
  await writeFile(file, 'abc');
  const bare = await dormouse(['template', 'build', '--from', file, '-t', 'python', '--json'], edge.settings);
  t.equal(bare.status, 0, bare.stderr);
  t.same(json(bare), python);
  t.match(bare.stderr, /^uploading {2}\[#+\] {2}3 B of 3 B\n {2}left out: dev\/null\nunpacking …\n$/);
  t.match(edge.requests[0], {
    url: '/v1/templates?name=python&format=auto',
    headers: { 'content-length': '3', accept: /^application\/x-ndjson/ },
  });
  t.equal(String(edge.requests[0]?.body), 'abc');

  const more = '--format tar --start-cmd run --ready-cmd true --user ada --cwd /srv --env A=1 --env B=c=d';
  const sizes = '--vcpus 2 --memory-mb 256 --disk-size-mb 4096 --overwrite --platform';
  const full = await dormouse(
    ['template', 'build', '--from', file, '--name', 'python', ...`${more} ${sizes}`.split(' ')],
    edge.settings,
  );
  t.match(full.stdout.toString(), /^name: +python$/m);
  t.same(Object.fromEntries(new URL(edge.requests[1]?.url ?? '', 'http://x').searchParams), {
    name: 'python',
    format: 'tar',
    start_cmd: 'run',
    ready_cmd: 'true',
    user: 'ada',
    cwd: '/srv',
    'env.A': '1',
    'env.B': 'c=d',
    vcpus: '2',
    memory_mb: '256',
    disk_size_mb: '4096',
    overwrite: 'true',
    team: 'platform',
  });
});

t.test('build packs a folder while it sends it', async (t) => {
  const edge = await startTestEdge(t, {
    routes: (app) => app.post('/v1/templates', async (_request, reply) => reply.code(201).send(python)),
  });
  const folder = path.join(await temporaryFolder(t), 'root');
  await mkdir(path.join(folder, 'bin'), { recursive: true });
  await writeFile(path.join(folder, 'bin', 'sh'), 'x');
  const result = await dormouse(['template', 'build', '--from', folder, '-t', 'python'], edge.settings);
  t.equal(result.status, 0, result.stderr);
  const { stdout } = await execa('tar', ['-t'], { input: edge.requests[0]?.body as Buffer });
  t.same(stdout.split('\n').sort(), ['./', './bin/', './bin/sh']);
  t.equal(edge.requests[0]?.headers['content-length'], undefined);
});

t.test('build from a sandbox', async (t) => {
  const edge = await startTestEdge(t, {
    routes: (app) => app.post('/v1/templates', async (_request, reply) => reply.code(201).send(python)),
  });
  const sandbox = newSandboxId();
  const args = ['template', 'build', '--from-sandbox', sandbox, '-t', 'python'];
  t.equal((await dormouse(args, edge.settings)).status, 0);
  t.match(edge.requests[0], {
    url: '/v1/templates',
    body: { name: 'python', sandbox_id: sandbox, overwrite: false },
  });
});

t.test('build: what fails', async (t) => {
  const edge = await startTestEdge(t, {
    routes: (app) =>
      app.post('/v1/templates', async (request, reply) => {
        if (request.url.includes('name=early')) throw new Refusal('TEMPLATE_EXISTS');
        const error = {
          ...new Refusal('TEMPLATE_INVALID'),
          title: 'No',
          detail: 'It leaves the root.',
          status: 422,
        };
        return reply.type('application/x-ndjson').send(Readable.from([`${JSON.stringify({ error })}\n`]));
      }),
  });
  const build = (from: string, name: string) =>
    dormouse(['template', 'build', '--from', from, '-t', name, '--json'], edge.settings);
  const early = await build('/etc/hostname', 'early');
  t.match([early.status, json(early)], [1, { code: 'TEMPLATE_EXISTS' }]);
  const late = await build('/etc/hostname', 'late');
  t.match([late.status, json(late)], [1, { code: 'TEMPLATE_INVALID' }]);
  t.match(late.stderr, /It leaves the root/);
  const none = await build('/nonexistent', 'none');
  t.match([none.status, json(none)], [1, { code: 'INVALID_REQUEST', detail: /nonexistent.*ENOENT/ }]);
});

t.test('list, get, delete', async (t) => {
  const edge = await startTestEdge(t, {
    routes: (app) => {
      app.get('/v1/templates', async () => ({ templates: [python, saved] }));
      app.get('/v1/templates/:name', async () => python);
      app.delete('/v1/templates/:name', async () => python);
    },
  });
  const run = (...args: string[]) => dormouse(['template', ...args], edge.settings);
  const table = lines(await run('list'));
  t.match(table[0], /^NAME +OWNER +KIND +MEMORY +SIZE +ON DISK +AGE$/);
  t.match(table[2], /^saved +team +snapshot +saved +64 MiB +3 MiB +\d+d$/);
  t.same(json(await run('list', '--kind', 'snapshot', '--json')), { templates: [python, saved] });
  t.match((await run('get', 'python')).stdout.toString(), /^environment: +A=b$/m);
  t.equal((await run('delete', 'python', '--platform')).stdout.toString(), 'python deleted\n');
  t.same(
    edge.requests.map(({ method, url }) => `${method} ${url}`),
    [
      'GET /v1/templates',
      'GET /v1/templates?kind=snapshot',
      'GET /v1/templates/python',
      'DELETE /v1/templates/python?team=platform',
    ],
  );
});

t.test('snapshots', async (t) => {
  const edge = await startTestEdge(t, {
    routes: (app) => {
      app.post('/v1/snapshots', async (_request, reply) => reply.code(201).send(saved));
      app.get('/v1/snapshots', async () => ({ snapshots: [saved] }));
      app.delete('/v1/snapshots/:name', async () => saved);
    },
  });
  const run = (...args: string[]) => dormouse(['snapshot', ...args], edge.settings);
  const sandbox = newSandboxId();
  t.match(
    (await run('create', sandbox, '--name', 'saved')).stdout.toString(),
    /^kind: +snapshot with its memory$/m,
  );
  t.same(edge.requests[0]?.body, { sandbox_id: sandbox, name: 'saved', memory: true, overwrite: false });
  await run('create', sandbox, '--name', 'saved', '--no-memory', '--overwrite');
  t.same(edge.requests[1]?.body, { sandbox_id: sandbox, name: 'saved', memory: false, overwrite: true });
  t.same(json(await run('list', '--json')), { snapshots: [saved] });
  t.equal((await run('delete', 'saved')).stdout.toString(), 'saved deleted\n');
});

t.test('fork and resize', async (t) => {
  const edge = await startTestEdge(t, {
    routes: (app) => {
      app.post('/v1/sandboxes/:id/fork', async (request, reply) => {
        const { count } = request.body as { count: number };
        return reply.code(201).send({ sandboxes: Array.from({ length: count }, () => edge.add()) });
      });
      app.patch('/v1/sandboxes/:id', async (request) => ({ ...view, ...(request.body as object) }));
    },
  });
  const view = edge.add();
  const forked = await dormouse(['sandbox', 'fork', view.id, '--count', '3'], edge.settings);
  t.equal(lines(forked).length, 3);
  const one = await dormouse(['sandbox', 'fork', view.id, '--idempotency-key', 'k', '--json'], edge.settings);
  t.equal(json<{ sandboxes: unknown[] }>(one).sandboxes.length, 1);
  t.equal(edge.requests[1]?.headers['idempotency-key'], 'k');
  const args = ['sandbox', 'resize', view.id, '--disk-size-mb', '30000', '--json'];
  t.match(json(await dormouse(args, edge.settings)), { disk_size_mb: 30000 });
});

t.test('progress as a line', async (t) => {
  t.equal(describeProgress({ stage: 'booting', done_bytes: null, total_bytes: null }), 'booting …');
  t.equal(describeProgress({ stage: 'a', done_bytes: 2048, total_bytes: null }), 'a  2 KiB');
  t.match(
    describeProgress({ stage: 'a', done_bytes: 512, total_bytes: 1024 }),
    /^a {2}\[#{12}-{12}\] {2}512 B of 1 KiB$/,
  );
  t.match(
    describeProgress({ stage: 'a', done_bytes: 9, total_bytes: 3 }),
    /\[#{24}\]/,
    'never more than all',
  );
  t.doesNotThrow(() => buildDisplay(systemClock, false).end());
});
