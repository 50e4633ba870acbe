import type { HostInfo } from '../actors/host/protocol.ts';
import type { SandboxTransition } from '../actors/sandbox/protocol.ts';
import type { Command, CommandContext, ReplyOf, RequestOf } from '../actors/system/command.ts';
import type { ErrorCode } from '../errors/index.ts';

/** What the rest of the program knows of the bus. Implemented over NATS; the simulation has one in memory. */

export interface RequestOptions {
  /** When the caller stops waiting, in milliseconds since the epoch. Default: now plus the command's `defaultTimeoutMs`. */
  deadlineMs?: number;
  /** Makes a repeated command be done once. A new one is made when absent. */
  commandId?: string;
  traceparent?: string;
  /** Aborting it makes the request reject with `CANCELLED` and tells the responder that nobody waits any more. */
  signal?: AbortSignal;
  /** Aborting it makes the request reject with `CANCELLED`, and the responder is not told: what it does goes on. */
  abandon?: AbortSignal;
  /** Code of the error when nobody listens on the subject. Default: `HOST_UNREACHABLE`. */
  unanswered?: ErrorCode;
}

/** What a responder is called with. `body` has passed the command's schema. */
export type Handler<C extends Command> = (
  body: RequestOf<C>,
  context: CommandContext,
  subject: string,
) => Promise<ReplyOf<C>>;

export interface Responder {
  /** Stops taking messages and waits for those that are being answered. */
  close(): Promise<void>;
}

export interface ServeOptions {
  /** Queue group: one member of it gets each message. Without one, every responder gets it. */
  queue?: string;
  /** Beyond this many requests at work, further ones are answered `MAILBOX_FULL`. Default: 1024. */
  maxInFlight?: number;
}

/** A group of commands announced as a NATS service, so that `nats micro ls` and `$SRV.INFO` show it. */
export interface ServiceOptions extends ServeOptions {
  /** Such as `dormouse-host`. */
  name: string;
  description: string;
  metadata?: Record<string, string>;
}

export interface StoredEvent {
  transition: SandboxTransition;
  /** Sequence number in the stream. */
  streamSeq: number;
  ack(): Promise<void>;
  /** Asks for the event again after `delayMs`. */
  retry(delayMs: number): void;
}

/** An event that somebody sees who looks on. */
export type SeenEvent = Pick<StoredEvent, 'transition' | 'streamSeq'>;

/** The stream `DORMOUSE_EVENTS`. */
export interface EventLog {
  /** Resolves when JetStream has the event. Sent again with the same id it is stored once. Throws `BUS_UNAVAILABLE`, `PAYLOAD_TOO_LARGE`. */
  append(transition: SandboxTransition): Promise<void>;
  /** Delivers events in order to a durable consumer until `signal` aborts. Survives reconnects. */
  consume(durable: string, handle: (event: StoredEvent) => Promise<void>, signal: AbortSignal): Promise<void>;
  /**
   * Number in the stream of the last event up to which the durable consumer has handled all; 0 before the first. It can be
   * followed from there. Throws `BUS_UNAVAILABLE`.
   */
  handled(durable: string): Promise<number>;
  /**
   * Delivers the team's events after that number, in order and once each, until `signal` aborts. The next one comes when `handle`
   * has resolved, so whoever is slow gets them later. Survives reconnects.
   *
   * @returns false when the stream does not have all that came after the number: it was dropped, or the stream is another one
   */
  follow(
    teamId: string,
    afterStreamSeq: number,
    handle: (event: SeenEvent) => Promise<void>,
    signal: AbortSignal,
  ): Promise<boolean>;
}

/** The bucket `dormouse_hosts`: one entry for each host that lives. */
export interface HostDirectory {
  /** Writes this host's entry again, for another TTL. */
  announce(info: HostInfo): Promise<void>;
  withdraw(hostId: string): Promise<void>;
  /** Entries that have not expired. */
  list(): Promise<HostInfo[]>;
}

export type BusStatus = 'connected' | 'disconnected' | 'closed';

export interface Bus {
  /**
   * Sends a command and waits for its reply, checked against the command's schema. Throws the responder's error,
   * `DEADLINE_EXCEEDED`, `CANCELLED`, `BUS_UNAVAILABLE`, `BAD_REPLY`, or `unanswered` (default `HOST_UNREACHABLE`) when
   * nobody listens on the subject.
   */
  request<C extends Command>(
    subject: string,
    command: C,
    body: RequestOf<C>,
    options?: RequestOptions,
  ): Promise<ReplyOf<C>>;

  /** Answers the command on the subject. Bodies that fail the schema never reach the handler. */
  serve<C extends Command>(
    subject: string,
    command: C,
    handler: Handler<C>,
    options?: ServeOptions,
  ): Responder;

  /**
   * Answers several commands, `subjectPrefix` + '.' + name, over one subscription. Another name is answered
   * `INVALID_REQUEST` with the names that are known.
   */
  serveAll(
    subjectPrefix: string,
    endpoints: ReadonlyArray<ServiceEndpoint>,
    options?: ServeOptions,
  ): Responder;

  /** As `serveAll`, and announced as a service. */
  service(
    subjectPrefix: string,
    handlers: ReadonlyArray<ServiceEndpoint>,
    options: ServiceOptions,
  ): Promise<Responder>;

  readonly events: EventLog;
  readonly hosts: HostDirectory;

  /** Bytes of a running exec and other messages without an answer. */
  publish(subject: string, payload: Uint8Array): void;
  subscribe(subject: string, onMessage: (payload: Uint8Array, subject: string) => void): { close(): void };

  status(): BusStatus;
  /** Calls `changed` on each change of status. Returns an undo. */
  onStatus(changed: (status: BusStatus) => void): () => void;

  /**
   * Takes no more messages, waits for the handlers that are at work, and closes the connection. Requests of one's own
   * that still wait then end with `BUS_UNAVAILABLE`.
   */
  drain(): Promise<void>;
}

/** A command and its handler; made with `endpoint()`, which ties their types together. */
export interface ServiceEndpoint {
  command: Command;
  handler: Handler<Command>;
}

export function endpoint<C extends Command>(command: C, handler: Handler<C>): ServiceEndpoint {
  // The bus checks the body against the command's own schema before it calls the handler, so the narrower type is true.
  return { command, handler: handler as unknown as Handler<Command> };
}
