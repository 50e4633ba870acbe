import type { FastifyRequest } from 'fastify';
import type { Clock, Timer } from '../../clock.ts';
import { DormouseError } from '../../errors/index.ts';
import type { EdgeApp } from '../ports.ts';

declare module 'fastify' {
  interface FastifyRequest {
    /** Aborts when the caller hangs up, or when the edge stops and has waited long enough. Set by `addCallers`. */
    caller: AbortSignal | undefined;
  }
}

/**
 * Gives each request a signal that aborts when nobody waits for its answer any more.
 *
 * @param drainMs how long requests that are under way may take after the edge was asked to close, in milliseconds
 */
export function addCallers(app: EdgeApp, clock: Clock, drainMs: number): void {
  const waiting = new Set<AbortController>();
  let giveUp: Timer | undefined;

  app.decorateRequest('caller', undefined);
  app.addHook('onRequest', async (request, reply) => {
    const controller = new AbortController();
    request.caller = controller.signal;
    waiting.add(controller);
    reply.raw.once('close', () => {
      waiting.delete(controller);
      if (!reply.raw.writableFinished)
        controller.abort(new DormouseError('CANCELLED', 'The caller closed the connection.'));
    });
  });
  app.addHook('preClose', async () => {
    giveUp = clock.after(drainMs, () => {
      for (const controller of waiting)
        controller.abort(
          new DormouseError(
            'SERVER_UNREACHABLE',
            'This edge is stopping. The command may still be carried out; send it again with the same Idempotency-Key.',
          ),
        );
    });
  });
  app.addHook('onClose', async () => giveUp?.cancel());
}

/** What a request failed with, as its caller should hear it: the bus says only that nobody waits, the signal says why. */
export function reasonOf(error: DormouseError, { caller }: FastifyRequest): DormouseError {
  return error.code === 'CANCELLED' && caller?.reason instanceof DormouseError ? caller.reason : error;
}
