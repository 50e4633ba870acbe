import { createInbox, type Msg, type MsgHdrs } from '@nats-io/transport-node';
import type { Clock, Timer } from '../clock.ts';
import { DormouseError } from '../errors/index.ts';
import { type Connection, unavailable } from './connection.ts';
import { cancelSubject } from './subjects.ts';

/**
 * Requests and their replies over one wildcard inbox: a map of those that wait, and one timer that looks for those that
 * waited too long. A request costs one map entry; the client library's own `request` makes a timer and two error
 * objects with stacks each time and takes twice as long.
 */
export interface RequestMux {
  /**
   * Publishes a request and waits for the first reply.
   *
   * @param options.waitMs how long to wait, in milliseconds
   * @param options.signal aborting it ends the wait and tells the responder
   * @param options.abandon aborting it ends the wait, and the responder goes on
   * @returns the reply, or `undefined` when nobody listens on the subject
   * @throws `DEADLINE_EXCEEDED`, `CANCELLED`, `BUS_UNAVAILABLE`, `PAYLOAD_TOO_LARGE`
   */
  send(subject: string, data: Uint8Array, headers: MsgHdrs, options: SendOptions): Promise<Msg | undefined>;
}

export interface SendOptions {
  waitMs: number;
  signal?: AbortSignal | undefined;
  abandon?: AbortSignal | undefined;
}

interface Pending {
  expiresAt: number;
  settle(outcome: Msg | DormouseError | undefined): void;
}

/** How late an expired request may be noticed, in milliseconds: those that expire together are found together. */
const SWEEP_MS = 20;
const NO_RESPONDERS = 503;

export function createRequestMux(connection: Connection, clock: Clock, inboxPrefix?: string): RequestMux {
  const { nc } = connection;
  const inbox = createInbox(inboxPrefix);
  const pending = new Map<string, Pending>();
  let counter = 0;
  let sweeper: { timer: Timer; atMs: number } | undefined;

  nc.subscribe(`${inbox}.*`, {
    callback: (error, message) => {
      if (error) return;
      pending.get(message.subject)?.settle(isNoResponders(message) ? undefined : message);
    },
  });
  connection.onStatus((status) => {
    if (status === 'connected') return;
    // Replies cannot arrive any more: the server forgets a connection's subscriptions with the connection.
    for (const request of [...pending.values()]) {
      request.settle(
        unavailable(
          'The connection to the message bus was lost while the command was under way. It may have been carried out; send it again with the same command id.',
        ),
      );
    }
  });

  /** Makes sure that somebody looks soon after that time. A look that is due earlier arms the next one. */
  function sweepAfter(expiresAt: number): void {
    const atMs = expiresAt + SWEEP_MS;
    if (sweeper && sweeper.atMs <= atMs) return;
    sweeper?.timer.cancel();
    sweeper = { timer: clock.after(atMs - clock.monotonicMs(), sweep), atMs };
  }

  function sweep(): void {
    sweeper = undefined;
    const now = clock.monotonicMs();
    for (const request of [...pending.values()]) {
      if (request.expiresAt <= now) request.settle(deadlineExceeded());
      else sweepAfter(request.expiresAt);
    }
  }

  return {
    async send(subject, data, headers, { waitMs, signal, abandon }) {
      if (signal?.aborted || abandon?.aborted) throw cancelled();
      if (waitMs <= 0) throw deadlineExceeded();
      if (connection.status() !== 'connected') {
        throw unavailable('There is no connection to the message bus at the moment; nothing was sent.');
      }
      counter += 1;
      const reply = `${inbox}.${counter.toString(36)}`;
      return new Promise<Msg | undefined>((resolve, reject) => {
        const onAbort = (): void => {
          request.settle(cancelled());
          if (connection.status() !== 'connected') return;
          try {
            nc.publish(cancelSubject(reply));
          } catch {
            // The connection closes: the responder is not told, and its work ends by its deadline.
          }
        };
        const onAbandon = (): void => request.settle(cancelled());
        const request: Pending = {
          expiresAt: clock.monotonicMs() + waitMs,
          settle(outcome) {
            pending.delete(reply);
            signal?.removeEventListener('abort', onAbort);
            abandon?.removeEventListener('abort', onAbandon);
            if (pending.size === 0) {
              sweeper?.timer.cancel();
              sweeper = undefined;
            }
            if (outcome instanceof DormouseError) reject(outcome);
            else resolve(outcome);
          },
        };
        pending.set(reply, request);
        signal?.addEventListener('abort', onAbort, { once: true });
        abandon?.addEventListener('abort', onAbandon, { once: true });
        sweepAfter(request.expiresAt);
        try {
          nc.publish(subject, data, { reply, headers });
        } catch (error) {
          request.settle(publishFailed(error, data.length, nc.info?.max_payload));
        }
      });
    },
  };
}

/** The server answers a request on a subject without a subscriber with status 503 and nothing else. */
function isNoResponders(message: Msg): boolean {
  return message.data.length === 0 && message.headers?.code === NO_RESPONDERS;
}

/** Why a message could not be handed to the connection: it is too large for the server, or the connection is closing. */
export function publishFailed(error: unknown, bytes: number, maxBytes: number | undefined): DormouseError {
  if (maxBytes !== undefined && bytes > maxBytes) {
    return new DormouseError(
      'PAYLOAD_TOO_LARGE',
      `The message has ${bytes} bytes; the message bus takes ${maxBytes}.`,
      { data: { bytes, max_bytes: maxBytes } },
    );
  }
  return unavailable('The message could not be given to the message bus; nothing was sent.', error);
}

function deadlineExceeded(): DormouseError {
  return new DormouseError(
    'DEADLINE_EXCEEDED',
    'No answer came before the deadline. The command may still be carried out; send it again with the same command id.',
  );
}

export function cancelled(): DormouseError {
  return new DormouseError('CANCELLED', 'The caller stopped waiting. The command may still be carried out.');
}
