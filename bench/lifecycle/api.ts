import http from 'node:http';

/** Longest that one request may take, in milliseconds. */
const REQUEST_LIMIT_MS = 180_000;

/** A sandbox as the API shows it, as far as the benchmark looks at it. */
export interface SandboxView {
  id: string;
  state: string;
}

/** The HTTP API, over one connection that is kept open. */
export class Api {
  readonly #url: string;
  readonly #key: string;
  readonly #agent = new http.Agent({ keepAlive: true, maxSockets: 1 });

  constructor(url: string, key: string) {
    this.#url = url;
    this.#key = key;
  }

  /** Sends a request and returns the answer's body. Throws when the status is not one of success, or `signal` aborts. */
  async call<T>(method: string, path: string, body: unknown, signal: AbortSignal): Promise<T> {
    const answer = await this.#send(
      method,
      path,
      body,
      AbortSignal.any([signal, AbortSignal.timeout(REQUEST_LIMIT_MS)]),
    );
    if (answer.status >= 300) throw new Error(`${method} ${path}: ${answer.status} ${answer.text}`);
    return (answer.text === '' ? undefined : JSON.parse(answer.text)) as T;
  }

  close(): void {
    this.#agent.destroy();
  }

  #send(
    method: string,
    path: string,
    body: unknown,
    signal: AbortSignal,
  ): Promise<{ status: number; text: string }> {
    const content = body === undefined ? undefined : JSON.stringify(body);
    return new Promise((resolve, reject) => {
      const request = http.request(`${this.#url}/v1${path}`, {
        method,
        agent: this.#agent,
        signal,
        headers: {
          'x-api-key': this.#key,
          ...(content !== undefined && {
            'content-type': 'application/json',
            'content-length': Buffer.byteLength(content),
          }),
        },
      });
      request.on('error', reject);
      request.on('response', (response) => {
        response.setEncoding('utf8');
        let text = '';
        response.on('data', (chunk: string) => (text += chunk));
        response.on('error', reject);
        response.on('end', () => resolve({ status: response.statusCode ?? 0, text }));
      });
      request.end(content);
    });
  }
}
