import { persistently } from './persistently.ts';
import { apiKey } from './session.ts';

/** Requests to the server that the page came from. */

/** An answer that is no success: RFC 9457, as the server sends it. */
export interface Problem {
  code: string;
  title: string;
  detail: string;
  status: number;
  [field: string]: unknown;
}

/** A request that failed. `status` is 0 when no answer came. */
export class ApiError extends Error {
  readonly problem: Problem;

  constructor(problem: Problem) {
    super(problem.detail);
    this.problem = problem;
  }

  get status(): number {
    return this.problem.status;
  }
}

interface RequestOptions {
  body?: unknown;
  headers?: Record<string, string>;
  signal?: AbortSignal;
}

/** The headers that every request carries. */
export function authHeaders(): Record<string, string> {
  return apiKey.value ? { 'x-api-key': apiKey.value } : {};
}

/**
 * Sends a request and returns the JSON of its answer.
 *
 * @throws `ApiError`; what `signal` was aborted with
 */
export async function request<T>(method: string, path: string, options?: RequestOptions): Promise<T> {
  const response = await respond(method, path, options);
  return (await answered(response.json(), options?.signal)) as T;
}

/**
 * Sends a request and returns its answer, a success, before its body was read. What only asks is sent again when no answer comes.
 *
 * @throws as `request`
 */
export async function respond(
  method: string,
  path: string,
  { body, headers, signal }: RequestOptions = {},
): Promise<Response> {
  const init: RequestInit = {
    method,
    headers: {
      ...authHeaders(),
      ...(body !== undefined && { 'content-type': 'application/json' }),
      ...headers,
    },
    ...(body !== undefined && { body: JSON.stringify(body) }),
    ...(signal && { signal }),
  };
  const ask = (): Promise<Response> => fetch(path, init);
  const response = await answered(method === 'GET' ? persistently(ask, signal) : ask(), signal);
  if (!response.ok) throw new ApiError(await problemOf(response));
  return response;
}

/**
 * Waits for an answer, or for a part of it. One that breaks off, or is no JSON, is one that did not come.
 *
 * @throws as `request`
 */
export async function answered<T>(part: Promise<T>, signal?: AbortSignal): Promise<T> {
  try {
    return await part;
  } catch (error) {
    if (signal?.aborted) throw signal.reason;
    throw new ApiError(noAnswer(error));
  }
}

/**
 * The document that a line of an answer is.
 *
 * @throws `ApiError` when the answer broke off within it
 */
export function parsed<T>(line: string): T {
  try {
    return JSON.parse(line) as T;
  } catch (error) {
    throw new ApiError(noAnswer(error));
  }
}

/** The problem that an answer carries; one of its own when a proxy in between has answered. */
export async function problemOf(response: Response): Promise<Problem> {
  return problemIn(await response.text().catch(() => ''), response);
}

/** The same of an answer whose text is there. */
export function problemIn(
  text: string,
  { status, statusText }: { status: number; statusText: string },
): Problem {
  try {
    const problem = JSON.parse(text) as Problem | null;
    if (typeof problem?.code === 'string') return problem;
  } catch {
    // It is none of the server's own.
  }
  const title = statusText || 'Failed';
  return { code: `HTTP_${status}`, title, detail: title, status };
}

function noAnswer(error: unknown): Problem {
  return {
    code: 'NO_ANSWER',
    title: 'No answer',
    detail: `The server does not answer (${error instanceof Error ? error.message : error}).`,
    status: 0,
  };
}
