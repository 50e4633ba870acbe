import type http from 'node:http';
import type {
  ExecReply,
  ExecRequest,
  ForkReply,
  SandboxOptions,
  SandboxState,
  SandboxTransition,
  SandboxView,
} from '../actors/sandbox/protocol.ts';
import { Api, isProblem, isRecord, isStream, NDJSON, notAnEdge, readJson, readLines } from './api.ts';
import { type HttpRequest, sendHttp } from './http.ts';
import { ProblemError } from './problem.ts';

/** What a list is narrowed to. */
export interface ListFilter {
  states?: readonly SandboxState[];
  metadata?: Readonly<Record<string, string>>;
}

/** Called with the bytes of a running program, in order. */
export type OnOutput = (stream: 'stdout' | 'stderr', bytes: Uint8Array) => Promise<void>;

/** Largest page that the edge gives. */
const PAGE_SIZE = 200;

/** The edge's routes for sandboxes as functions. What they throw: see `Api`. */
export class Client extends Api {
  /** Resolves when the server takes requests. */
  async ready(): Promise<void> {
    await this.json('GET', '/readyz');
  }

  /** Makes a sandbox and waits until it runs. Absent options are the server's defaults. */
  create(options: Partial<SandboxOptions>, idempotencyKey?: string): Promise<SandboxView> {
    const headers: Record<string, string> =
      idempotencyKey === undefined ? {} : { 'idempotency-key': idempotencyKey };
    return this.json('POST', '/v1/sandboxes', { body: options, headers });
  }

  /** All sandboxes that fit, newest first, from all pages. */
  async list(filter: ListFilter = {}): Promise<SandboxView[]> {
    const sandboxes: SandboxView[] = [];
    const query = new URLSearchParams({ limit: String(PAGE_SIZE) });
    if (filter.states?.length) query.set('state', filter.states.join(','));
    for (const [key, value] of Object.entries(filter.metadata ?? {})) query.set(`metadata.${key}`, value);
    for (;;) {
      const page = await this.json<{ sandboxes: SandboxView[]; next_cursor: string | null }>(
        'GET',
        `/v1/sandboxes?${query}`,
      );
      sandboxes.push(...page.sandboxes);
      if (!page.next_cursor) return sandboxes;
      query.set('cursor', page.next_cursor);
    }
  }

  get(id: string): Promise<SandboxView> {
    return this.json('GET', sandboxPath(id));
  }

  /** Sends a command that takes no more than a small body and answers with the sandbox. */
  command(
    id: string,
    name: 'pause' | 'resume' | 'restart' | 'ping',
    body: Record<string, unknown> = {},
  ): Promise<SandboxView> {
    return this.json('POST', `${sandboxPath(id)}/${name}`, { body });
  }

  /** Makes the disk of a paused sandbox larger. */
  resize(id: string, diskSizeMb: number): Promise<SandboxView> {
    return this.json('PATCH', sandboxPath(id), { body: { disk_size_mb: diskSizeMb } });
  }

  /** Makes copies of a sandbox and waits until they run. */
  async fork(id: string, count: number, idempotencyKey?: string): Promise<SandboxView[]> {
    const { sandboxes } = await this.json<ForkReply>('POST', `${sandboxPath(id)}/fork`, {
      body: { count },
      headers: idempotencyKey === undefined ? {} : { 'idempotency-key': idempotencyKey },
    });
    return sandboxes;
  }

  destroy(id: string): Promise<SandboxView> {
    return this.json('DELETE', sandboxPath(id));
  }

  /** All transitions of the sandbox, oldest first, from all pages. */
  async transitions(id: string): Promise<SandboxTransition[]> {
    const all: SandboxTransition[] = [];
    let afterSeq = 0;
    for (;;) {
      const { transitions } = await this.json<{ transitions: SandboxTransition[] }>(
        'GET',
        `${sandboxPath(id)}/transitions?after_seq=${afterSeq}&limit=${PAGE_SIZE}`,
      );
      all.push(...transitions);
      if (transitions.length < PAGE_SIZE) return all;
      afterSeq = transitions.at(-1)?.seq ?? afterSeq;
    }
  }

  /** Runs a program and returns its output with its end. */
  exec(id: string, request: ExecRequest): Promise<ExecReply> {
    return this.json('POST', `${sandboxPath(id)}/exec`, { body: request });
  }

  /** Runs a program and passes its output on while it runs, if the server can; else at its end. */
  async execStreamed(id: string, request: ExecRequest, onOutput: OnOutput): Promise<ExecReply> {
    const sent = this.request('POST', `${sandboxPath(id)}/exec`, {
      body: request,
      headers: { accept: `${NDJSON}, application/json;q=0.5` },
    });
    const response = await sendHttp(sent);
    const passedOn = { stdout: 0, stderr: 0 };
    const reply = isStream(response)
      ? await readStream(sent, response, async (stream, bytes) => {
          passedOn[stream] += bytes.length;
          await onOutput(stream, bytes);
        })
      : await readJson<ExecReply>(sent, response);
    // Output is streamed without a promise of delivery. What is missing at its end is in the reply.
    for (const stream of ['stdout', 'stderr'] as const) {
      const whole = Buffer.from(reply[stream], reply[`${stream}_encoding`]);
      if (whole.length > passedOn[stream]) await onOutput(stream, whole.subarray(passedOn[stream]));
    }
    return reply;
  }
}

function sandboxPath(id: string): string {
  return `/v1/sandboxes/${encodeURIComponent(id)}`;
}

/** Reads `{"stream", "data", "encoding"}` lines up to the last one, `{"result": …}` or `{"error": Problem}`. */
async function readStream(
  request: HttpRequest,
  response: http.IncomingMessage,
  onOutput: OnOutput,
): Promise<ExecReply> {
  for await (const line of readLines(request, response)) {
    if (isOutput(line)) await onOutput(line.stream, Buffer.from(line.data, line.encoding));
    else if (isRecord(line) && isRecord(line.result)) return line.result as ExecReply;
    else if (isRecord(line) && isProblem(line.error)) throw new ProblemError(line.error);
  }
  throw notAnEdge(request, 'a stream without a result');
}

function isOutput(
  value: unknown,
): value is { stream: 'stdout' | 'stderr'; data: string; encoding: 'utf8' | 'base64' } {
  return (
    isRecord(value) &&
    (value.stream === 'stdout' || value.stream === 'stderr') &&
    typeof value.data === 'string' &&
    (value.encoding === 'utf8' || value.encoding === 'base64')
  );
}
