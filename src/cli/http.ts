import http from 'node:http';
import https from 'node:https';
import { DormouseError, messageOf } from '../errors/index.ts';

export interface HttpRequest {
  method: 'GET' | 'POST' | 'DELETE';
  url: URL;
  headers: Record<string, string>;
  /** Sent as JSON. */
  body?: unknown;
  signal?: AbortSignal | undefined;
}

/**
 * Sends a request and resolves when the head of the answer is there. Node's `fetch` gives up when five minutes pass
 * without a byte, and a silent exec may run for an hour; this waits as long as the connection is alive.
 *
 * @throws `SERVER_UNREACHABLE` when the server does not accept the connection or drops it, `CANCELLED` when `signal` aborts
 */
export function sendHttp(request: HttpRequest): Promise<http.IncomingMessage> {
  const { method, url, signal } = request;
  const payload = request.body === undefined ? undefined : Buffer.from(JSON.stringify(request.body));
  const headers = { ...request.headers };
  if (payload) {
    headers['content-type'] = 'application/json';
    headers['content-length'] = String(payload.length);
  }
  return new Promise((resolve, reject) => {
    const { request: send } = url.protocol === 'https:' ? https : http;
    const outgoing = send(url, { method, headers, agent: false, ...(signal ? { signal } : {}) }, resolve);
    outgoing.on('error', (error) => reject(connectionError(url, error, signal)));
    outgoing.end(payload);
  });
}

/**
 * The parts of an answer's body, as they come.
 *
 * @throws as `sendHttp`
 */
export async function* bodyOf(
  { url, signal }: HttpRequest,
  response: http.IncomingMessage,
): AsyncGenerator<Uint8Array> {
  try {
    for await (const chunk of response) yield chunk as Uint8Array;
  } catch (error) {
    throw connectionError(url, error, signal);
  }
}

function connectionError(url: URL, error: unknown, signal: AbortSignal | undefined): DormouseError {
  if (signal?.aborted) return new DormouseError('CANCELLED', 'The command was stopped.');
  const { code } = error as NodeJS.ErrnoException;
  return new DormouseError(
    'SERVER_UNREACHABLE',
    `The server at ${url.origin} cannot be reached or dropped the connection (${code || messageOf(error)}). Is it running? \`npm start\` starts one.`,
    { cause: error },
  );
}
