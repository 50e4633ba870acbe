import { request as httpRequest, type IncomingMessage } from 'node:http';
import t from 'tap';
import type { ExecReply } from '../../src/actors/sandbox/protocol.ts';
import type { CommandContext } from '../../src/actors/system/command.ts';
import { ioSubject } from '../../src/bus/subjects.ts';
import { systemClock } from '../../src/clock.ts';
import { DormouseError } from '../../src/errors/index.ts';
import { listenEdge } from '../../src/http/index.ts';
import { until } from '../support/nats.ts';
import { addRecord, addSandbox, ask, startWorld } from './support.ts';

const world = await startWorld(t);
const { edge, far } = world;
const team = await world.newTeam();
const { key } = team;
const url = await listenEdge(edge, { host: '127.0.0.1', port: 0 });

const REPLY: ExecReply = {
  exit_code: 0,
  signal: null,
  timed_out: false,
  stdout: 'done\n',
  stdout_encoding: 'utf8',
  stdout_truncated: false,
  stderr: '',
  stderr_encoding: 'utf8',
  stderr_truncated: false,
  duration_ms: 1,
};
const NDJSON = { accept: 'application/x-ndjson, application/json;q=0.5' };

/** A promise and its end, for a handler that a test lets go on. */
function gate<T = void>() {
  return Promise.withResolvers<T>();
}

t.test('exec: the body as it came, with its defaults; the reply as it came', async (t) => {
  const { view, received } = await addSandbox(world, team, { exec: () => REPLY });
  const before = systemClock.nowMs();
  for (const [body, seconds] of [
    [{ cmd: 'true' }, 60],
    [{ argv: ['true'], cwd: '/', env: { A: 'é\n' }, user: 'u', stdin: 'AA==', stdin_encoding: 'base64' }, 60],
    [{ cmd: 'true', timeout_s: 1800.5 }, 1800.5],
  ] as const) {
    const answer = await ask(t, edge, 'POST', `/v1/sandboxes/${view.id}/exec`, { key, body });
    t.same([answer.status, answer.body], [200, REPLY]);
    const command = received.at(-1);
    t.same(command?.body, { timeout_s: 60, ...body });
    const leftMs = (command?.context.deadlineMs ?? 0) - before;
    t.ok(
      leftMs >= seconds * 1000 && leftMs < seconds * 1000 + 60_000,
      `the deadline is a little later: ${leftMs}`,
    );
  }
});

t.test('exec: the largest standard input passes', async (t) => {
  const { view, received } = await addSandbox(world, team, { exec: () => REPLY });
  const stdin = Buffer.alloc(2 * 1024 * 1024).toString('base64');
  const body = { cmd: 'cat', stdin, stdin_encoding: 'base64' };
  t.equal((await ask(t, edge, 'POST', `/v1/sandboxes/${view.id}/exec`, { key, body })).status, 200);
  t.match(received, [{ body: { stdin } }]);
});

t.test('exec: the errors of the guest and of the actor keep their codes', async (t) => {
  for (const code of [
    'EXEC_NOT_FOUND',
    'EXEC_NOT_EXECUTABLE',
    'EXEC_BAD_CWD',
    'EXEC_UNKNOWN_USER',
    'EXEC_INTERRUPTED',
    'IDEMPOTENCY_KEY_REUSED',
    'GUEST_UNREACHABLE',
    'MAILBOX_FULL',
  ] as const) {
    const { view } = await addSandbox(world, team, {
      exec: () => {
        throw new DormouseError(code, '/no/such/program: no.');
      },
    });
    for (const headers of [{}, NDJSON]) {
      const answer = await ask(t, edge, 'POST', `/v1/sandboxes/${view.id}/exec`, {
        key,
        body: { cmd: 'x' },
        headers,
      });
      t.match(answer.body, { code }, 'also streamed, when it fails before the first output');
      if (answer.status === 422)
        t.equal(answer.body.detail, '/no/such/program: no.', "the guest's own paths are shown");
    }
  }
});

t.test('streamed: output while the program runs, byte for byte, then the result', async (t) => {
  const goOn = gate();
  const chunks: Array<['stdout' | 'stderr', Buffer]> = [
    ['stdout', Buffer.from('first\n')],
    ['stderr', Buffer.from([0xff, 0x00, 0x80])],
    ['stdout', Buffer.from('é').subarray(0, 1)],
    ['stdout', Buffer.from('é').subarray(1)],
  ];
  const { view } = await addSandbox(world, team, {
    exec: async (_body, { commandId }: CommandContext) => {
      const [first, ...rest] = chunks;
      if (first) far.publish(ioSubject(commandId, first[0]), first[1]);
      await goOn.promise;
      for (const [stream, bytes] of rest) far.publish(ioSubject(commandId, stream), bytes);
      return REPLY;
    },
  });
  const response = await post(`/v1/sandboxes/${view.id}/exec`, { cmd: 'x' }, NDJSON);
  t.match(response.headers['content-type'], /^application\/x-ndjson/);
  const lines: Line[] = [];
  for await (const line of linesOf(response)) {
    lines.push(line);
    // The program waits until its first output has reached the caller.
    if (lines.length === 1) goOn.resolve();
  }
  const outputs = lines.slice(0, -1);
  t.same(
    outputs.map(({ stream, data = '', encoding }) => [stream, Buffer.from(data, encoding).toString('hex')]),
    chunks.map(([stream, bytes]) => [stream, bytes.toString('hex')]),
  );
  t.same([outputs[0]?.encoding, outputs[0]?.data], ['utf8', 'first\n'], 'text can be read as it is');
  t.same(lines.at(-1), { result: REPLY });
});

t.test('streamed: what fails after the first output is told in the last line', async (t) => {
  const goOn = gate();
  const { view } = await addSandbox(world, team, {
    exec: async (_body, { commandId }: CommandContext) => {
      far.publish(ioSubject(commandId, 'stdout'), Buffer.from('x'));
      await goOn.promise;
      throw new DormouseError('EXEC_INTERRUPTED', 'The sandbox was stopped.');
    },
  });
  const response = await post(`/v1/sandboxes/${view.id}/exec`, { cmd: 'x' }, NDJSON);
  t.equal(response.statusCode, 200);
  const lines: Line[] = [];
  for await (const line of linesOf(response)) {
    lines.push(line);
    goOn.resolve();
  }
  t.match(lines.at(-1), {
    error: { code: 'EXEC_INTERRUPTED', status: 409, retryable: true, detail: /stopped/ },
  });
});

t.test('streamed: a program without output, and one of another key, stay apart', async (t) => {
  const { view } = await addSandbox(world, team, { exec: () => REPLY });
  const response = await post(`/v1/sandboxes/${view.id}/exec`, { cmd: 'x' }, NDJSON);
  const lines = await allOf(linesOf(response));
  t.same(lines, [{ result: REPLY }]);
});

t.test('streamed: many at once each get their own output', async (t) => {
  const { view } = await addSandbox(world, team, {
    exec: (body: { cmd: string }, { commandId }: CommandContext) => {
      for (let part = 0; part < 5; part++)
        far.publish(ioSubject(commandId, 'stdout'), Buffer.from(`${body.cmd}.${part} `));
      return { ...REPLY, stdout: body.cmd };
    },
  } as never);
  await Promise.all(
    Array.from({ length: 10 }, async (_, index) => {
      const cmd = `program-${index}`;
      const response = await post(`/v1/sandboxes/${view.id}/exec`, { cmd }, NDJSON);
      const lines = await allOf(linesOf(response));
      t.equal(
        lines.map(({ data = '' }) => data).join(''),
        Array.from({ length: 5 }, (_, part) => `${cmd}.${part} `).join(''),
      );
      t.equal(lines.at(-1)?.result?.stdout, cmd);
    }),
  );
});

t.test('a caller that hangs up cancels its command, streamed or not', async (t) => {
  for (const headers of [{}, NDJSON]) {
    const begun = gate<CommandContext>();
    const { view } = await addSandbox(world, team, {
      exec: async (_body, context: CommandContext) => {
        begun.resolve(context);
        far.publish(ioSubject(context.commandId, 'stdout'), Buffer.from('x'));
        const cancelled = gate();
        context.signal.addEventListener('abort', () => cancelled.resolve());
        await cancelled.promise;
        throw context.signal.reason;
      },
    });
    const outgoing = send(`/v1/sandboxes/${view.id}/exec`, { cmd: 'sleep 1000' }, headers);
    outgoing.on('error', () => {});
    const { signal } = await begun.promise;
    t.notOk(signal.aborted);
    outgoing.destroy();
    await until(() => signal.aborted, 'the command is cancelled');
    t.match(signal.reason, { code: 'CANCELLED' });
  }
});

t.test('a streamed exec on a host that does not answer is a problem with its status', async (t) => {
  const view = await addRecord(world.records, team);
  const answer = await ask(t, edge, 'POST', `/v1/sandboxes/${view.id}/exec`, {
    key,
    body: { cmd: 'x' },
    headers: NDJSON,
  });
  t.match(answer.body, { status: 503, code: 'HOST_UNREACHABLE' });
});

interface Line {
  stream?: 'stdout' | 'stderr';
  data?: string;
  encoding?: 'utf8' | 'base64';
  result?: ExecReply;
  error?: Record<string, unknown>;
}

function send(path: string, body: unknown, headers: Record<string, string>) {
  const outgoing = httpRequest(new URL(path, url), {
    method: 'POST',
    headers: { 'x-api-key': key, 'content-type': 'application/json', ...headers },
    agent: false,
  });
  outgoing.end(JSON.stringify(body));
  return outgoing;
}

/** Resolves with the head of the answer; its body is still to come. */
async function post(path: string, body: unknown, headers: Record<string, string>): Promise<IncomingMessage> {
  const outgoing = send(path, body, headers);
  return await new Promise((resolve, reject) => outgoing.on('response', resolve).on('error', reject));
}

async function allOf<T>(values: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const value of values) all.push(value);
  return all;
}

async function* linesOf(response: IncomingMessage): AsyncGenerator<Line> {
  let rest = '';
  response.setEncoding('utf8');
  for await (const part of response) {
    const lines = (rest + part).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) if (line !== '') yield JSON.parse(line) as Line;
  }
}
