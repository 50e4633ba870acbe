import type { FastifyRequest } from 'fastify';
import { type Static, Type } from 'typebox';
import { DormouseError } from '../errors/index.ts';

/** Numbers of transitions, as callers send them to go on from there. */

/** The largest that the records can hold. */
export const SEQ_MAX = 2 ** 31 - 1;

/** Number of a transition, as the id of an event. */
export const LastSeqHeaders = Type.Object({
  'last-event-id': Type.Optional(
    Type.String({
      pattern: '^\\d{1,15}$',
      description: `Id of the last event that was read, at most ${SEQ_MAX}`,
    }),
  ),
});

/** The number that a request goes on after; undefined when it names none. Throws `INVALID_REQUEST` for one that none can have. */
export function lastSeqOf(request: FastifyRequest): number | undefined {
  const lastId = (request.headers as Static<typeof LastSeqHeaders>)['last-event-id'];
  if (lastId === undefined) return undefined;
  const seq = Number(lastId);
  if (seq > SEQ_MAX)
    throw new DormouseError('INVALID_REQUEST', `"Last-Event-ID" must be at most ${SEQ_MAX}.`, {
      data: { in: 'header', field: 'last-event-id' },
    });
  return seq;
}
