import { once } from 'node:events';
import { Agent, request as httpRequest, type IncomingMessage } from 'node:http';
import net from 'node:net';
import { Writable } from 'node:stream';
import { pino } from 'pino';
import t from 'tap';
import type { CommandContext } from '../../src/actors/system/command.ts';
import { listenEdge } from '../../src/http/index.ts';
import { flushed } from '../support/bus.ts';
import { execReply } from '../support/exec-reply.ts';
import { until } from '../support/nats.ts';
import { addSandbox, ask, startWorld, type Team } from './support.ts';

const world = await startWorld(t);

t.test('a port that is taken is told as such; port 0 finds a free one', async (t) => {
  const first = await listenEdge(await world.newEdge(), { host: '127.0.0.1', port: 0 });
  t.match(first, /^http:\/\/127\.0\.0\.1:[1-9]\d*$/);
  const port = Number(new URL(first).port);
  const second = await world.newEdge();
  await t.rejects(listenEdge(second, { host: '127.0.0.1', port }), {
    code: 'PORT_IN_USE',
    detail: new RegExp(`Port ${port} .*DORMOUSE_HTTP_PORT`),
  });
  await t.rejects(listenEdge(await world.newEdge(), { host: '192.0.2.1', port: 0 }), {
    code: 'CONFIG_INVALID',
    detail: /192\.0\.2\.1 \(EADDRNOTAVAIL\)/,
  });
});

t.test('close: no new connections, what is under way is finished', async (t) => {
  const edge = await world.newEdge();
  const team = await world.newTeam();
  const goOn = Promise.withResolvers<void>();
  const { view, received } = await addSandbox(world, team, { pause: () => goOn.promise.then(() => view) });
  const url = new URL(await listenEdge(edge, { host: '127.0.0.1', port: 0 }));
  const answer = post(new URL(`/v1/sandboxes/${view.id}/pause`, url), team);
  await until(() => received.length === 1, 'the command is under way');
  const closed = edge.close();
  await until(() => !edge.server.listening, 'it listens no more');
  await t.rejects(once(net.connect(Number(url.port), url.hostname), 'connect'), { code: 'ECONNREFUSED' });
  goOn.resolve();
  const { statusCode, text } = await answer;
  t.equal(statusCode, 200);
  t.equal(JSON.parse(text).id, view.id);
  await closed;
});

t.test('close: what takes longer than allowed is cancelled and told so', async (t) => {
  const edge = await world.newEdge({ drainMs: 50 });
  const team = await world.newTeam();
  const begun = Promise.withResolvers<CommandContext>();
  const { view } = await addSandbox(world, team, {
    exec: async (_body, context: CommandContext) => {
      begun.resolve(context);
      await once(context.signal, 'abort');
      throw context.signal.reason;
    },
  });
  const url = new URL(await listenEdge(edge, { host: '127.0.0.1', port: 0 }));
  const answer = post(new URL(`/v1/sandboxes/${view.id}/exec`, url), team, { cmd: 'sleep 3600' });
  const { signal } = await begun.promise;
  await edge.close();
  const { statusCode, text } = await answer;
  t.match([statusCode, JSON.parse(text)], [503, { code: 'SERVER_UNREACHABLE', retryable: true }]);
  await until(() => signal.aborted, 'the command is cancelled');
});

t.test('close: one with an Idempotency-Key is no longer waited for, and goes on', async (t) => {
  const edge = await world.newEdge({ drainMs: 50 });
  const team = await world.newTeam();
  const begun = Promise.withResolvers<CommandContext>();
  const goOn = Promise.withResolvers<void>();
  t.teardown(() => goOn.resolve());
  const { view } = await addSandbox(world, team, {
    exec: async (_body, context: CommandContext) => {
      begun.resolve(context);
      await goOn.promise;
      return execReply;
    },
  });
  const url = new URL(await listenEdge(edge, { host: '127.0.0.1', port: 0 }));
  const answer = post(
    new URL(`/v1/sandboxes/${view.id}/exec`, url),
    team,
    { cmd: 'sleep 3600' },
    { 'idempotency-key': 'k' },
  );
  const { signal } = await begun.promise;
  await edge.close();
  const { statusCode, text } = await answer;
  t.match(
    [statusCode, JSON.parse(text)],
    [503, { code: 'SERVER_UNREACHABLE', retryable: true, detail: /the same Idempotency-Key/ }],
  );
  await flushed(world.far);
  t.equal(signal.aborted, false, 'nobody told the sandbox to stop');
});

t.test('close: connections that callers keep open end with the answers on them', async (t) => {
  const edge = await world.newEdge();
  const team = await world.newTeam();
  const begun = Promise.withResolvers<void>();
  const goOn = Promise.withResolvers<void>();
  const { view } = await addSandbox(world, team, {
    pause: async () => {
      begun.resolve();
      await goOn.promise;
      return view;
    },
  });
  const url = await listenEdge(edge, { host: '127.0.0.1', port: 0 });
  const headers = { 'x-api-key': team.key };
  const agent = new Agent({ keepAlive: true });
  t.teardown(() => agent.destroy());
  const stream = httpRequest(`${url}/v1/sandboxes/${view.id}/inspection/stream`, { headers, agent }).end();
  const pause = httpRequest(`${url}/v1/sandboxes/${view.id}/pause`, { headers, agent, method: 'POST' }).end();
  const answers = [stream, pause].map(async (outgoing) => {
    const [response] = (await once(outgoing, 'response')) as [IncomingMessage];
    response.resume();
    await once(response, 'end');
    return response.statusCode;
  });
  await begun.promise;
  await once(stream, 'response');
  const startedAt = performance.now();
  const closed = edge.close();
  goOn.resolve();
  t.same(await Promise.all(answers), [200, 200]);
  await closed;
  t.ok(performance.now() - startedAt < 10_000, 'nobody waited for them to be idle for long');
});

t.test('close twice, and close without having listened', async () => {
  const edge = await world.newEdge();
  await Promise.all([edge.close(), edge.close()]);
});

t.test('the log has one line for each request, and no key in any', async (t) => {
  const lines: string[] = [];
  const sink = new Writable({
    write(chunk, _encoding, done) {
      lines.push(String(chunk));
      done();
    },
  });
  const edge = await world.newEdge({ log: pino({ level: 'debug' }, sink) });
  const team = await world.newTeam();
  await ask(t, edge, 'GET', '/v1/sandboxes?metadata.a=b', {
    key: team.key,
    headers: { 'x-request-id': 'mine' },
  });
  await ask(t, edge, 'GET', '/v1/sandboxes', { key: 'wrong-key-of-somebody' });
  const requests = lines.map((line) => JSON.parse(line)).filter(({ msg }) => msg === 'request');
  t.match(requests, [
    { requestId: 'mine', method: 'GET', route: '/v1/sandboxes', status: 200, team: team.id, level: 30 },
    { status: 401 },
  ]);
  t.equal(requests.length, 2);
  t.notMatch(lines.join(''), team.key);
  t.notMatch(lines.join(''), /wrong-key-of-somebody/);
});

t.test('readiness follows the bus; without it requests get 503 with a retry', async (t) => {
  const { edge, nats, bus, far } = world;
  const team = await world.newTeam();
  const { view } = await addSandbox(world, team);
  t.equal((await ask(t, edge, 'GET', '/readyz')).status, 200);
  await nats.kill();
  await until(() => bus.status() !== 'connected', 'the edge has noticed');
  const away = { status: 503, code: 'BUS_UNAVAILABLE', retryable: true };
  t.match((await ask(t, edge, 'GET', '/readyz')).body, away);
  const answer = await ask(t, edge, 'POST', `/v1/sandboxes/${view.id}/pause`, { key: team.key });
  t.match(answer.body, away);
  t.ok(answer.headers['retry-after']);
  t.match(await ask(t, edge, 'GET', '/healthz'), { status: 200, body: { status: 'ok', version: '0.0.0' } });
  t.equal(
    (await ask(t, edge, 'GET', '/v1/sandboxes', { key: team.key })).status,
    200,
    'lists are of the records',
  );
  await nats.start();
  await until(() => bus.status() === 'connected' && far.status() === 'connected', 'both are back');
  t.equal((await ask(t, edge, 'GET', '/readyz')).status, 200);
  await until(
    async () =>
      (await edge.inject({ url: `/v1/sandboxes/${view.id}`, headers: { 'x-api-key': team.key } }))
        .statusCode === 200,
    'the sandbox answers again',
  );
});

async function post(
  url: URL,
  { key }: Team,
  body = {},
  headers: Record<string, string> = {},
): Promise<{ statusCode: number | undefined; text: string }> {
  const outgoing = httpRequest(url, {
    method: 'POST',
    headers: { 'x-api-key': key, 'content-type': 'application/json', ...headers },
    agent: false,
  });
  outgoing.end(JSON.stringify(body));
  const [response] = (await once(outgoing, 'response')) as [IncomingMessage];
  response.setEncoding('utf8');
  let text = '';
  for await (const chunk of response) text += chunk;
  return { statusCode: response.statusCode, text };
}
