import { Type } from 'typebox';
import { catalogue, DormouseError } from '../errors/index.ts';
import { withoutHostPaths } from './present.ts';

/** Errors as problem documents (RFC 9457). */

export const PROBLEM_TYPE = 'application/problem+json';

/** How long a caller should wait before it tries again, in seconds, when the error does not say. */
const RETRY_AFTER_S = 1;

export const Problem = Type.Object(
  {
    type: Type.String({ description: '`urn:dormouse:error:` and the code' }),
    title: Type.String({ description: 'What the code means' }),
    status: Type.Integer(),
    detail: Type.String({ description: 'What happened, why, and what to do' }),
    code: Type.String({ description: 'Stable name of the error' }),
    instance: Type.String({ description: '`urn:dormouse:request:` and the id of the request' }),
    retryable: Type.Boolean({ description: 'Whether the same request may succeed later' }),
  },
  { description: 'An error (RFC 9457). Some codes add members, such as `state` and `allowed`.' },
);

export interface ProblemDocument {
  type: string;
  title: string;
  status: number;
  detail: string;
  code: string;
  instance: string;
  retryable: boolean;
  [member: string]: unknown;
}

/**
 * The document for an error. Causes stay in the log. What a host says of its own failures stays there too: data, which may
 * hold anything, is shown only when the request was at fault.
 */
export function problemOf(error: DormouseError, requestId: string): ProblemDocument {
  const { code, status, detail, data, answer } = error;
  const mine = status < 500;
  return {
    ...(mine ? data : {}),
    type: `urn:dormouse:error:${code}`,
    title: catalogue[code].title,
    status,
    detail: mine ? detail : withoutHostPaths(detail),
    code,
    instance: `urn:dormouse:request:${requestId}`,
    retryable: answer === 'retry',
  };
}

/** Headers that go with an error: when to come back, and how to show who one is. */
export function problemHeaders({ status, data }: DormouseError): Record<string, string> {
  if (status === 401) return { 'www-authenticate': 'Bearer realm="dormouse"' };
  if (status !== 429 && status !== 503) return {};
  const seconds = typeof data?.retry_after_s === 'number' ? data.retry_after_s : RETRY_AFTER_S;
  return { 'retry-after': String(seconds) };
}

/** Any thrown value as one of ours: Fastify's own errors by their code, what nobody knows as `INTERNAL`. */
export function errorOf(thrown: unknown, requestId: string): DormouseError {
  if (thrown instanceof DormouseError) return thrown;
  const { code, statusCode, message } = thrown as { code?: string; statusCode?: number; message?: string };
  const options = { cause: thrown };
  switch (code) {
    case 'FST_ERR_CTP_BODY_TOO_LARGE':
      return new DormouseError('PAYLOAD_TOO_LARGE', 'The body is larger than this route takes.', options);
    case 'FST_ERR_CTP_INVALID_MEDIA_TYPE':
    case 'FST_ERR_CTP_INVALID_TYPE':
    case 'FST_ERR_CTP_EMPTY_TYPE':
      return new DormouseError(
        'UNSUPPORTED_MEDIA_TYPE',
        'This route takes no body of this type. Send application/json, or what /openapi.json says for the route.',
        options,
      );
    case 'FST_ERR_CTP_INVALID_JSON_BODY':
      return new DormouseError(
        'MALFORMED_JSON',
        'The body is not JSON, or has a key such as "__proto__".',
        options,
      );
    case 'FST_ERR_CTP_INVALID_CONTENT_LENGTH':
      return new DormouseError(
        'INVALID_REQUEST',
        'The body does not have the length that Content-Length says.',
        options,
      );
  }
  if (statusCode !== undefined && statusCode >= 400 && statusCode < 500)
    return new DormouseError('INVALID_REQUEST', message ?? 'The request is not valid.', options);
  return new DormouseError(
    'INTERNAL',
    `The request failed for a reason that Dormouse does not know. The log has it under ${requestId}.`,
    options,
  );
}
