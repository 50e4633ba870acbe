import type { IncomingMessage } from 'node:http';
import { newRequestId } from '../../ids.ts';
import type { EdgeApp } from '../ports.ts';

/** Ids of requests that callers may choose; anything else is replaced, because it is written to the log. */
const REQUEST_ID = /^[A-Za-z0-9_.-]{1,128}$/;

/** The caller's `X-Request-Id`, or a new id. */
export function requestIdOf(request: IncomingMessage): string {
  const given = request.headers['x-request-id'];
  return typeof given === 'string' && REQUEST_ID.test(given) ? given : newRequestId();
}

/** Nothing of an answer may be run, framed, cached or guessed at; pages set a policy of their own. */
const SECURITY_HEADERS = {
  'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
  'referrer-policy': 'no-referrer',
  'cache-control': 'no-store',
};

/** Gives each answer its id and its security headers, and each request one line in the log. */
export function addRequests(app: EdgeApp): void {
  app.addHook('onRequest', async (request, reply) => {
    reply.headers({ ...SECURITY_HEADERS, 'x-request-id': request.id });
  });
  app.addHook('onResponse', async (request, reply) => {
    const { method, routeOptions, principal } = request;
    const line = {
      method,
      // The pattern, not the path: ids and labels of callers are not the log's matter.
      route: routeOptions.url ?? null,
      status: reply.statusCode,
      durationMs: Math.round(reply.elapsedTime * 10) / 10,
      ...(principal && { team: principal.teamId, key: principal.keyId }),
    };
    // Probes come every few seconds.
    if (routeOptions.url === '/healthz' || routeOptions.url === '/readyz') request.log.debug(line, 'request');
    else request.log.info(line, 'request');
  });
}
