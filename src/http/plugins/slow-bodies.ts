import { Socket } from 'node:net';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Clock } from '../../clock.ts';
import { DormouseError } from '../../errors/index.ts';
import type { EdgeApp } from '../ports.ts';
import { endWith } from './bad-connections.ts';

declare module 'fastify' {
  interface FastifyContextConfig {
    /** The route reads its body itself, for as long as that takes, and looks after one that does not come. */
    readsBody?: true;
  }
}

/** How long a caller may take to send a body, in milliseconds. */
const BODY_MS_MAX = 60_000;

/**
 * Ends connections whose request does not come to its end in time. Node's own `requestTimeout` is one for a whole server;
 * an upload may take longer than other requests. When a route that reads its body itself has answered before the end of it,
 * the rest is read and dropped for as long as others may take: a caller that is cut off while it sends may not see the answer.
 */
export function addSlowBodies(app: EdgeApp, clock: Clock): void {
  app.addHook('onRequest', async (request, reply) => {
    if (!request.routeOptions.config.readsBody) limitBody(clock, request, reply);
  });
  app.addHook('onResponse', async (request, reply) => {
    if (!request.routeOptions.config.readsBody) return;
    limitBody(clock, request, reply);
    request.raw.resume();
  });
}

/** Ends the connection unless the rest of the body has come within a minute. */
function limitBody(clock: Clock, { raw }: FastifyRequest, reply: FastifyReply): void {
  // A request that did not come over a connection has none that could be ended.
  if (!(raw.socket instanceof Socket)) return;
  if (raw.complete || raw.destroyed || !mayHaveBody(raw.headers)) return;
  const timer = clock.after(BODY_MS_MAX, () => {
    if (raw.complete) return;
    if (reply.raw.headersSent) raw.socket.destroy();
    else endWith(bodyTimeout(), raw.socket);
  });
  for (const end of ['end', 'close', 'error'] as const) raw.once(end, () => timer.cancel());
}

function bodyTimeout(): DormouseError {
  return new DormouseError(
    'REQUEST_TIMEOUT',
    `The body did not come to its end within ${BODY_MS_MAX / 1000} seconds. Send the request again.`,
    { data: { limit_s: BODY_MS_MAX / 1000 } },
  );
}

function mayHaveBody(headers: FastifyRequest['headers']): boolean {
  const length = headers['content-length'];
  return headers['transfer-encoding'] !== undefined || (length !== undefined && length !== '0');
}
