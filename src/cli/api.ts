import type http from 'node:http';
import { DormouseError } from '../errors/index.ts';
import { bodyOf, type HttpRequest, sendHttp } from './http.ts';
import { parseNdjson } from './ndjson.ts';
import { type Problem, ProblemError } from './problem.ts';
import type { ServerAddress } from './server-info.ts';

/** What all requests to the edge have in common. */

export const NDJSON = 'application/x-ndjson';

/** What a request has besides its method and path. */
export type Extra = Pick<HttpRequest, 'body' | 'upload'> & { headers?: Record<string, string> };

/**
 * The edge of one address. Each call throws `ProblemError` when the server refuses, `SERVER_UNREACHABLE` when it cannot be
 * reached, `BAD_REPLY` when what answers is no Dormouse edge, and `CANCELLED` when `signal` aborts.
 */
export class Api {
  readonly address: ServerAddress;
  readonly #signal: AbortSignal | undefined;

  constructor(address: ServerAddress, signal?: AbortSignal) {
    this.address = address;
    this.#signal = signal;
  }

  protected request(method: HttpRequest['method'], target: string, extra: Extra = {}): HttpRequest {
    const { url, apiKey } = this.address;
    return {
      method,
      // The edge may live below a path of a reverse proxy.
      url: new URL(url.replace(/\/+$/, '') + target),
      headers: {
        accept: 'application/json',
        'user-agent': 'dormouse-cli',
        ...(apiKey === undefined ? {} : { authorization: `Bearer ${apiKey}` }),
        ...extra.headers,
      },
      body: extra.body,
      upload: extra.upload,
      signal: this.#signal,
    };
  }

  /** The answer's body. */
  protected async json<T>(method: HttpRequest['method'], target: string, extra: Extra = {}): Promise<T> {
    const request = this.request(method, target, extra);
    return readJson<T>(request, await sendHttp(request));
  }
}

/** The body of an answer that is one JSON document. */
export async function readJson<T>(request: HttpRequest, response: http.IncomingMessage): Promise<T> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of bodyOf(request, response)) chunks.push(chunk);
  const text = Buffer.concat(chunks).toString();
  const status = response.statusCode ?? 0;
  let body: unknown;
  try {
    body = JSON.parse(text);
  } catch {
    throw notAnEdge(request, `status ${status} and a body that is not JSON`);
  }
  if (status >= 200 && status < 300) return body as T;
  if (isProblem(body)) throw new ProblemError(body);
  throw notAnEdge(request, `status ${status} without a problem document`);
}

/** Lines of an answer that is streamed. What is not JSON is no answer of an edge. */
export async function* readLines(
  request: HttpRequest,
  response: http.IncomingMessage,
): AsyncGenerator<unknown> {
  try {
    yield* parseNdjson(bodyOf(request, response));
  } catch (error) {
    if (error instanceof SyntaxError) throw notAnEdge(request, 'a line that is not JSON');
    throw error;
  }
}

/** Whether an answer is a stream of lines. */
export function isStream({ statusCode, headers }: http.IncomingMessage): boolean {
  return statusCode === 200 && headers['content-type']?.startsWith(NDJSON) === true;
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}

export function isProblem(value: unknown): value is Problem {
  return (
    isRecord(value) &&
    typeof value.code === 'string' &&
    typeof value.title === 'string' &&
    typeof value.detail === 'string'
  );
}

/** The error of an answer that no edge gives. */
export function notAnEdge({ url }: HttpRequest, what: string): DormouseError {
  return new DormouseError(
    'BAD_REPLY',
    `${url.origin} answered with ${what}. Check that DORMOUSE_URL is the address of a Dormouse edge.`,
  );
}
