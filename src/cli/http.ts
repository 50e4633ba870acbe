import http from 'node:http';
import https from 'node:https';
import type { Readable } from 'node:stream';
import { DormouseError, messageOf } from '../errors/index.ts';

/** A file on its way to the server. */
export interface Upload {
  content: Readable;
  /** Its size in bytes; undefined when that is not known before its end. */
  size: number | undefined;
}

export interface HttpRequest {
  method: 'GET' | 'POST' | 'PATCH' | 'DELETE';
  url: URL;
  headers: Record<string, string>;
  /** Sent as JSON. */
  body?: unknown;
  /** Sent as it is, instead of `body`. */
  upload?: Upload | undefined;
  signal?: AbortSignal | undefined;
}

/**
 * Sends a request and resolves when the head of the answer is there. Node's `fetch` gives up when five minutes pass
 * without a byte, and a silent exec may run for an hour; this waits as long as the connection is alive.
 *
 * @throws `SERVER_UNREACHABLE` when the server does not accept the connection or drops it, `CANCELLED` when `signal` aborts
 */
export function sendHttp(request: HttpRequest): Promise<http.IncomingMessage> {
  const { method, url, signal, upload } = request;
  const payload = request.body === undefined ? undefined : Buffer.from(JSON.stringify(request.body));
  const headers = { ...request.headers };
  if (payload) {
    headers['content-type'] = 'application/json';
    headers['content-length'] = String(payload.length);
  }
  if (upload) {
    headers['content-type'] = 'application/octet-stream';
    if (upload.size !== undefined) headers['content-length'] = String(upload.size);
  }
  return new Promise((resolve, reject) => {
    const { request: send } = url.protocol === 'https:' ? https : http;
    const outgoing = send(url, { method, headers, agent: false, ...(signal ? { signal } : {}) }, resolve);
    outgoing.on('error', (error) => reject(connectionError(url, error, signal)));
    if (upload) sendUpload(upload.content, outgoing, reject);
    else outgoing.end(payload);
  });
}

/**
 * Sends a file. A server that refuses it answers before it has read all of it: then the rest is not sent, and the answer is
 * read to its end.
 *
 * @param failed called when the file itself cannot be read to its end
 */
function sendUpload(content: Readable, outgoing: http.ClientRequest, failed: (error: Error) => void): void {
  let incoming: http.IncomingMessage | undefined;
  const leave = (): void => {
    content.unpipe(outgoing);
    content.destroy();
  };
  outgoing.on('response', (response) => {
    incoming = response;
    if ((response.statusCode ?? 0) >= 300) leave();
    response.once('close', () => {
      leave();
      outgoing.destroy();
    });
  });
  outgoing.once('close', leave);
  content.on('error', (error) => {
    failed(error);
    incoming?.destroy(error);
    outgoing.destroy(error);
  });
  content.pipe(outgoing);
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
  if (error instanceof DormouseError) return error;
  const { code } = error as NodeJS.ErrnoException;
  return new DormouseError(
    'SERVER_UNREACHABLE',
    `The server at ${url.origin} cannot be reached or dropped the connection (${code || messageOf(error)}). Is it running? \`npm start\` starts one.`,
    { cause: error },
  );
}
