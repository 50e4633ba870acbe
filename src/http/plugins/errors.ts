import type { FastifyReply, FastifyRequest } from 'fastify';
import type { DormouseError, ErrorCode } from '../../errors/index.ts';
import type { EdgeApp } from '../ports.ts';
import { errorOf, PROBLEM_TYPE, type ProblemDocument, problemHeaders, problemOf } from '../problem.ts';
import { reasonOf } from './callers.ts';

declare module 'fastify' {
  interface FastifyRequest {
    /** Code of the error that it was answered with. */
    problemCode: ErrorCode | undefined;
  }
}

/** Answers every error that a hook, a parser or a handler throws with a problem document. */
export function addErrors(app: EdgeApp): void {
  app.decorateRequest('problemCode', undefined);
  app.setErrorHandler((thrown, request, reply) => sendProblem(thrown, request, reply));
}

/** Sends the problem document of anything that was thrown. What a person should see is logged with its causes. */
export function sendProblem(thrown: unknown, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  const error = errorFor(request, thrown);
  if (error.answer === 'stuck') request.log.error({ err: error }, 'request failed');
  else request.log.debug({ err: error }, 'request refused');
  return reply
    .code(error.status)
    .headers(problemHeaders(error))
    .type(PROBLEM_TYPE)
    .send(JSON.stringify(problemOf(error, request.id)));
}

/** What a request failed with as a problem document, for an answer that has begun already. */
export function problemFor(request: FastifyRequest): (thrown: unknown) => ProblemDocument {
  return (thrown) => problemOf(errorFor(request, thrown), request.id);
}

function errorFor(request: FastifyRequest, thrown: unknown): DormouseError {
  const error = reasonOf(errorOf(thrown, request.id), request);
  request.problemCode = error.code;
  return error;
}
