import { readFileSync } from 'node:fs';
import type { Command, ReplyOf, RequestOf } from '../actors/system/command.ts';
import type { Clock } from '../clock.ts';
import { DormouseError, messageOf } from '../errors/index.ts';
import { newCommandId } from '../ids.ts';
import type { Logger } from '../log.ts';
import type { Connection } from './connection.ts';
import { checkReply, checkRequest, decodeBody, decodeError, encodeBody, encodeMeta } from './envelope.ts';
import { createRequestMux } from './mux.ts';
import { createResponderHub } from './responder.ts';
import { announceService } from './service.ts';
import type {
  Bus,
  EventLog,
  HostDirectory,
  RequestOptions,
  Responder,
  ServeOptions,
  ServiceEndpoint,
  ServiceOptions,
} from './types.ts';
import { endpoint } from './types.ts';

export interface BusParts {
  connection: Connection;
  /** The stream of events and the directory of hosts: JetStream's, or the simulation's. */
  events: EventLog;
  hosts: HostDirectory;
  clock: Clock;
  log: Logger;
  inboxPrefix?: string | undefined;
}

/** The bus over a connection: requests, responders and services. */
export function createBus({ connection, events, hosts, clock, log, inboxPrefix }: BusParts): Bus {
  const { nc } = connection;
  const mux = createRequestMux(connection, clock, inboxPrefix);
  const hub = createResponderHub(connection, clock, log);

  async function request<C extends Command>(
    subject: string,
    command: C,
    body: RequestOf<C>,
    requestOptions: RequestOptions = {},
  ): Promise<ReplyOf<C>> {
    checkRequest(command, body);
    const {
      commandId = newCommandId(),
      traceparent,
      signal,
      abandon,
      unanswered = 'HOST_UNREACHABLE',
    } = requestOptions;
    const now = clock.nowMs();
    const deadlineMs = requestOptions.deadlineMs ?? now + command.defaultTimeoutMs;
    const reply = await mux.send(
      subject,
      encodeBody(body),
      encodeMeta({ commandId, deadlineMs, traceparent }),
      {
        waitMs: deadlineMs - now,
        signal,
        abandon,
      },
    );
    if (!reply) throw new DormouseError(unanswered, `Nobody answers on ${subject}.`, { data: { subject } });
    const error = decodeError(reply.headers, reply.data);
    if (error) throw error;
    return readReply(command, reply.data) as ReplyOf<C>;
  }

  function serveAll(
    subjectPrefix: string,
    endpoints: readonly ServiceEndpoint[],
    serveOptions: ServeOptions = {},
  ): Responder {
    return hub.answer(`${subjectPrefix}.*`, finderOf(endpoints), serveOptions);
  }

  async function service(
    subjectPrefix: string,
    endpoints: readonly ServiceEndpoint[],
    serviceOptions: ServiceOptions,
  ): Promise<Responder> {
    const version = packageVersion();
    const announcement = announceService(nc, clock, subjectPrefix, endpoints, { ...serviceOptions, version });
    const responder = hub.answer(`${subjectPrefix}.*`, finderOf(endpoints), {
      ...serviceOptions,
      observe: announcement.observe,
    });
    // Whoever asks for the service after this gets an answer. Without a connection that is so after the reconnect.
    if (connection.status() === 'connected') await nc.flush().catch(() => undefined);
    return {
      async close() {
        announcement.close();
        await responder.close();
      },
    };
  }

  let draining: Promise<void> | undefined;
  async function drain(): Promise<void> {
    await hub.close();
    if (connection.status() === 'connected') await nc.drain().catch(() => undefined);
    await nc.close();
  }

  return {
    request,
    serve: (subject, command, handler, serveOptions) => {
      const only = endpoint(command, handler);
      return hub.answer(subject, () => only, serveOptions);
    },
    serveAll,
    service,
    events,
    hosts,
    publish(subject, payload) {
      // Output of an exec is of no use later, so it is not kept while there is no connection.
      if (connection.status() !== 'connected') return;
      try {
        nc.publish(subject, payload);
      } catch (error) {
        // The connection closes, or it is too large. Who publishes is a timer or a program's output, and cannot do anything about it.
        log.warn({ err: messageOf(error), subject }, 'a message was dropped');
      }
    },
    subscribe(subject, onMessage) {
      const subscription = nc.subscribe(subject, {
        callback: (error, message) => {
          if (error) log.error({ err: error, subject }, 'a subscription was ended by the server');
          else onMessage(message.data, message.subject);
        },
      });
      return { close: () => subscription.unsubscribe() };
    },
    status: connection.status,
    onStatus: connection.onStatus,
    drain() {
      draining ??= drain();
      return draining;
    },
  };
}

function readReply(command: Command, data: Uint8Array): unknown {
  let reply: unknown;
  try {
    reply = decodeBody(data);
  } catch (cause) {
    throw new DormouseError('BAD_REPLY', `The reply to ${command.name} is not JSON.`, { cause });
  }
  checkReply(command, reply);
  return reply;
}

/** Finds the endpoint that a subject's last token names. */
function finderOf(endpoints: readonly ServiceEndpoint[]): (subject: string) => ServiceEndpoint {
  const byName = new Map(endpoints.map((one) => [one.command.name, one]));
  return (subject) => {
    const name = subject.slice(subject.lastIndexOf('.') + 1);
    const found = byName.get(name);
    if (found) return found;
    const allowed = [...byName.keys()];
    throw new DormouseError(
      'INVALID_REQUEST',
      `There is no command ${name}; there are ${allowed.join(', ')}.`,
      {
        data: { command: name, allowed },
      },
    );
  };
}

function packageVersion(): string {
  const file = new URL('../../package.json', import.meta.url);
  return (JSON.parse(readFileSync(file, 'utf8')) as { version: string }).version;
}
