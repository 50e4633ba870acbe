import type { Msg } from '@nats-io/transport-node';
import type { CommandContext } from '../actors/system/command.ts';
import type { Clock } from '../clock.ts';
import { DormouseError, hasCode, toDormouseError } from '../errors/index.ts';
import type { Logger } from '../log.ts';
import type { Connection } from './connection.ts';
import { checkReply, checkRequest, decodeBody, decodeMeta, encodeBody, encodeError } from './envelope.ts';
import { cancelled, publishFailed } from './mux.ts';
import { CANCEL_SUBJECTS, cancelledReply } from './subjects.ts';
import type { Responder, ServeOptions, ServiceEndpoint } from './types.ts';

/** How many requests a responder works on at once when it names no bound of its own. */
const DEFAULT_MAX_IN_FLIGHT = 1024;

/** Told of each request that was answered; a service keeps its statistics with it. */
export type Observer = (
  endpoint: ServiceEndpoint,
  durationMs: number,
  error: DormouseError | undefined,
) => void;

export interface ResponderHub {
  /**
   * Answers the requests on a subject.
   *
   * @param find the endpoint for a subject; throws a `DormouseError` to answer the request with it
   */
  answer(
    subject: string,
    find: (subject: string) => ServiceEndpoint,
    options?: ServeOptions & { observe?: Observer },
  ): Responder;
  /** Closes all responders. */
  close(): Promise<void>;
}

/** The responders of one connection. They share one subscription to the notes of callers that have gone. */
export function createResponderHub(connection: Connection, clock: Clock, log: Logger): ResponderHub {
  const { nc } = connection;
  const responders = new Set<Responder>();
  /** Requests at work by reply subject, which no two of them share. */
  const working = new Map<string, AbortController>();
  let listening = false;

  function listenForCancels(): void {
    if (listening) return;
    listening = true;
    nc.subscribe(CANCEL_SUBJECTS, {
      callback: (error, message) => {
        if (!error) working.get(cancelledReply(message.subject))?.abort(cancelled());
      },
    });
  }

  /** Checks the request, calls the handler within its deadline, checks the reply. */
  async function handle(message: Msg, endpoint: ServiceEndpoint): Promise<Uint8Array> {
    const { command, handler } = endpoint;
    const now = clock.nowMs();
    const meta = decodeMeta(message.headers, command, now);
    const body = decodeBody(message.data);
    checkRequest(command, body);
    if (meta.deadlineMs <= now) {
      throw new DormouseError(
        'DEADLINE_EXCEEDED',
        'The deadline had passed when the command was taken; it was not begun.',
      );
    }
    const controller = new AbortController();
    const timer = clock.after(meta.deadlineMs - now, () =>
      controller.abort(
        new DormouseError('DEADLINE_EXCEEDED', 'The deadline passed while the command was carried out.'),
      ),
    );
    if (message.reply) working.set(message.reply, controller);
    try {
      const context: CommandContext = { ...meta, signal: controller.signal };
      const reply = await handler(body as Parameters<typeof handler>[0], context, message.subject);
      checkReply(command, reply);
      return encodeBody(reply);
    } catch (error) {
      if (error instanceof DormouseError && !hasCode(error, 'BAD_REPLY')) throw error;
      log.error({ err: error, subject: message.subject, commandId: meta.commandId }, 'a handler failed');
      throw toDormouseError(
        error,
        'INTERNAL',
        `The command failed for a reason that Dormouse does not know. The log has it under ${meta.commandId}.`,
      );
    } finally {
      timer.cancel();
      if (message.reply) working.delete(message.reply);
    }
  }

  function respond(message: Msg, data: Uint8Array, error?: DormouseError): void {
    // Without a connection the caller's inbox is gone as well: it has been told that the bus is unavailable.
    if (!message.reply || connection.status() !== 'connected') return;
    const { data: body, ...options } = error ? encodeError(error) : { data };
    try {
      nc.publish(message.reply, body, options);
    } catch (failure) {
      const reason = publishFailed(failure, body.length, nc.info?.max_payload);
      log.error({ err: reason, subject: message.subject }, 'an answer could not be sent');
      if (!error && hasCode(reason, 'PAYLOAD_TOO_LARGE')) respond(message, new Uint8Array(), reason);
    }
  }

  function answer(
    subject: string,
    find: (subject: string) => ServiceEndpoint,
    options: ServeOptions & { observe?: Observer } = {},
  ): Responder {
    const { queue, maxInFlight = DEFAULT_MAX_IN_FLIGHT, observe } = options;
    const inFlight = new Set<Promise<void>>();
    listenForCancels();

    async function take(message: Msg): Promise<void> {
      const startedAt = clock.monotonicMs();
      let endpoint: ServiceEndpoint | undefined;
      let failure: DormouseError | undefined;
      try {
        endpoint = find(message.subject);
        if (inFlight.size >= maxInFlight) {
          throw new DormouseError(
            'MAILBOX_FULL',
            `${maxInFlight} requests are at work already; try again in a moment.`,
          );
        }
        respond(message, await handle(message, endpoint));
      } catch (error) {
        failure = toDormouseError(error);
        respond(message, new Uint8Array(), failure);
      }
      if (endpoint) observe?.(endpoint, clock.monotonicMs() - startedAt, failure);
    }

    const subscription = nc.subscribe(subject, {
      ...(queue ? { queue } : {}),
      callback: (error, message) => {
        if (error) {
          log.error({ err: error, subject }, 'a subscription was ended by the server');
          return;
        }
        const work = take(message).finally(() => inFlight.delete(work));
        inFlight.add(work);
      },
    });

    let closed: Promise<void> | undefined;
    async function close(): Promise<void> {
      // A drained subscription still gets what the server had sent before it heard of the end.
      if (connection.status() === 'connected') await subscription.drain().catch(() => undefined);
      else subscription.unsubscribe();
      while (inFlight.size > 0) await Promise.allSettled(inFlight);
      responders.delete(responder);
    }
    const responder: Responder = {
      close() {
        closed ??= close();
        return closed;
      },
    };
    responders.add(responder);
    return responder;
  }

  return {
    answer,
    async close() {
      await Promise.all([...responders].map((responder) => responder.close()));
    },
  };
}
