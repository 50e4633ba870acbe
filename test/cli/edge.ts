import { Readable } from 'node:stream';
import { execa } from 'execa';
import Fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify';
import type { Test } from 'tap';
import type {
  ExecReply,
  ExecRequest,
  SandboxTransition,
  SandboxView,
} from '../../src/actors/sandbox/protocol.ts';
import { catalogue, type ErrorCode } from '../../src/errors/index.ts';
import { exampleTransition, exampleView } from '../support/bus.ts';

export const API_KEY = 'dm_test_key_of_the_edge';

/** Runs what an exec asks for, and passes on its output. */
export type RunExec = (
  request: ExecRequest,
  onOutput: (stream: 'stdout' | 'stderr', bytes: Uint8Array) => void,
  /** Aborts when the caller hangs up. */
  signal: AbortSignal,
) => Promise<ExecReply>;

export interface TestEdge {
  /** Settings that lead the command line here. */
  settings: { DORMOUSE_URL: string; DORMOUSE_API_KEY: string };
  sandboxes: Map<string, SandboxView>;
  transitions: SandboxTransition[];
  /** What was asked for, in order. */
  requests: Array<{ method: string; url: string; body: unknown; headers: Record<string, unknown> }>;
  app: FastifyInstance;
  add(changes?: Partial<SandboxView>): SandboxView;
}

export interface TestEdgeOptions {
  /** Routes of the test's own. */
  routes?: (app: FastifyInstance) => void;
  run?: RunExec;
  /** Whether the output of an exec is streamed to those who accept it. */
  streams?: boolean;
  /** Called before a command changes the state; may throw a problem. */
  onCommand?: (view: SandboxView, command: string) => SandboxView | undefined;
}

/** Thrown by handlers of the test edge. */
export class Refusal extends Error {
  readonly code: ErrorCode;
  readonly members: Record<string, unknown>;
  constructor(code: ErrorCode, members: Record<string, unknown> = {}) {
    super(code);
    this.code = code;
    this.members = members;
  }
}

/**
 * An HTTP server on a free port that answers as the edge does, with sandboxes that are records in memory, and execs that
 * run here. It lets the tests see what the command line sends, and how it takes each kind of answer.
 */
export async function startTestEdge(t: Test, options: TestEdgeOptions = {}): Promise<TestEdge> {
  const { run = runHere, streams = true } = options;
  const app = Fastify({ forceCloseConnections: true, bodyLimit: 8 * 1024 * 1024 });
  const sandboxes = new Map<string, SandboxView>();
  const transitions: SandboxTransition[] = [];
  const requests: TestEdge['requests'] = [];

  // Files are bodies, too.
  app.addContentTypeParser('application/octet-stream', { parseAs: 'buffer' }, (_request, body, done) =>
    done(null, body),
  );
  app.addHook('preHandler', async (request, reply) => {
    const { method, url, body, headers } = request;
    requests.push({ method, url, body, headers });
    if (url.startsWith('/v1') && headers.authorization !== `Bearer ${API_KEY}`)
      return sendProblem(reply, new Refusal('UNAUTHENTICATED'));
  });
  app.setErrorHandler((error, _request, reply) =>
    sendProblem(reply, error instanceof Refusal ? error : new Refusal('INTERNAL', { detail: String(error) })),
  );

  const find = (request: FastifyRequest): SandboxView => {
    const view = sandboxes.get((request.params as { id: string }).id);
    if (!view) throw new Refusal('SANDBOX_NOT_FOUND');
    return view;
  };
  const become = (view: SandboxView, command: string, state: SandboxView['state']): SandboxView => {
    const next = options.onCommand?.(view, command) ?? { ...view, state };
    sandboxes.set(next.id, next);
    return next;
  };
  const add = (changes: Partial<SandboxView> = {}): SandboxView => {
    const view = exampleView(changes);
    sandboxes.set(view.id, view);
    return view;
  };

  app.get('/readyz', async () => ({ status: 'ready' }));
  app.post('/v1/sandboxes', async (request, reply) => {
    const view = add(request.body as Partial<SandboxView>);
    return reply.code(201).send(view);
  });
  app.get('/v1/sandboxes', async (request) => {
    const query = request.query as Record<string, string>;
    const states = query.state?.split(',');
    const all = [...sandboxes.values()].filter(
      (view) =>
        (states ? states.includes(view.state) : view.state !== 'destroyed') &&
        Object.entries(query).every(
          ([key, value]) =>
            !key.startsWith('metadata.') || view.metadata[key.slice('metadata.'.length)] === value,
        ),
    );
    const from = Number(query.cursor ?? 0);
    const to = from + Math.min(2, Number(query.limit));
    return { sandboxes: all.slice(from, to), next_cursor: to < all.length ? String(to) : null };
  });
  app.get('/v1/sandboxes/:id', async (request) => find(request));
  app.delete('/v1/sandboxes/:id', async (request) => become(find(request), 'destroy', 'destroyed'));
  for (const [command, state] of [
    ['pause', 'paused'],
    ['resume', 'running'],
    ['restart', 'running'],
    ['ping', 'running'],
  ] as const)
    app.post(`/v1/sandboxes/:id/${command}`, async (request) => become(find(request), command, state));
  app.get('/v1/sandboxes/:id/transitions', async (request) => {
    const { id } = find(request);
    const { after_seq, limit } = request.query as { after_seq: string; limit: string };
    const later = transitions.filter((one) => one.sandbox_id === id && one.seq > Number(after_seq));
    return { transitions: later.slice(0, Number(limit)) };
  });
  app.post('/v1/sandboxes/:id/exec', async (request, reply) => {
    find(request);
    const body = request.body as ExecRequest;
    const caller = new AbortController();
    reply.raw.once('close', () => caller.abort());
    const wantsStream = String(request.headers.accept).startsWith('application/x-ndjson');
    if (!streams || !wantsStream) return run(body, () => {}, caller.signal);
    const stream = new Readable({ read() {} });
    const line = (value: unknown): void => void stream.push(`${JSON.stringify(value)}\n`);
    void run(
      body,
      (name, bytes) =>
        line({ stream: name, data: Buffer.from(bytes).toString('base64'), encoding: 'base64' }),
      caller.signal,
    )
      .then(
        (result) => line({ result }),
        (error) => line({ error: problem(error as Refusal) }),
      )
      .finally(() => stream.push(null));
    return reply.type('application/x-ndjson').send(stream);
  });

  options.routes?.(app);
  await app.listen({ host: '127.0.0.1', port: 0 });
  t.teardown(() => app.close());
  const { port } = app.server.address() as { port: number };
  const settings = { DORMOUSE_URL: `http://127.0.0.1:${port}`, DORMOUSE_API_KEY: API_KEY };
  return { settings, sandboxes, transitions, requests, app, add };
}

/** Gives the sandbox `count` transitions. */
export function addTransitions(edge: TestEdge, view: SandboxView, count: number): void {
  for (let seq = 1; seq <= count; seq++) edge.transitions.push(exampleTransition(view, seq));
}

function problem({ code, members }: Refusal): Record<string, unknown> {
  const { status, title, answer } = catalogue[code];
  const type = `urn:dormouse:error:${code}`;
  return { type, title, status, detail: `About ${code}.`, code, retryable: answer === 'retry', ...members };
}

function sendProblem(reply: FastifyReply, refusal: Refusal): FastifyReply {
  const body = problem(refusal);
  return reply.code(Number(body.status)).type('application/problem+json').send(JSON.stringify(body));
}

/** Runs the program on this machine, with nothing of this process's environment but the path. */
export const runHere: RunExec = async (request, onOutput, cancelSignal) => {
  const [program = '', ...args] = request.argv ?? [];
  const started = performance.now();
  const child = execa(program, args, {
    env: { PATH: process.env.PATH, ...request.env },
    extendEnv: false,
    cwd: request.cwd ?? '/',
    encoding: 'buffer',
    stripFinalNewline: false,
    reject: false,
    input: Buffer.from(request.stdin ?? '', request.stdin_encoding ?? 'utf8'),
    timeout: (request.timeout_s ?? 60) * 1000,
    killSignal: 'SIGKILL',
    cancelSignal,
  });
  child.stdout.on('data', (bytes: Buffer) => onOutput('stdout', bytes));
  child.stderr.on('data', (bytes: Buffer) => onOutput('stderr', bytes));
  const result = await child;
  if (result.code === 'ENOENT') throw new Refusal('EXEC_NOT_FOUND');
  if (result.code === 'EACCES') throw new Refusal('EXEC_NOT_EXECUTABLE');
  return {
    exit_code: result.exitCode ?? null,
    signal: result.signal ?? null,
    timed_out: result.timedOut,
    stdout: Buffer.from(result.stdout).toString('base64'),
    stdout_encoding: 'base64',
    stdout_truncated: false,
    stderr: Buffer.from(result.stderr).toString('base64'),
    stderr_encoding: 'base64',
    stderr_truncated: false,
    duration_ms: performance.now() - started,
  };
};
