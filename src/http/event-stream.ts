import { once } from 'node:events';
import { PassThrough, type Readable } from 'node:stream';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { Type } from 'typebox';
import type { Clock, Timer } from '../clock.ts';
import { DormouseError } from '../errors/index.ts';
import type { Logger } from '../log.ts';
import type { Principal } from '../records/types.ts';

/** Server-sent events (WHATWG HTML, section 9.2): answers that go on for as long as somebody reads them. */

const EVENT_STREAM_TYPE = 'text/event-stream';

/** The answer of a route that sends events, for its schema. */
export const EVENTS = {
  description: 'Events, for as long as they are read.',
  content: { [EVENT_STREAM_TYPE]: { schema: Type.Unsafe<Readable>({ type: 'string' }) } },
};

/** Events that come within this time are sent together, in milliseconds. */
const GATHER_MS = 50;
/** So many characters are sent at once, without waiting for more. */
const GATHERED_CHARS_MAX = 32 * 1024;
/** A silent stream carries a comment this often, in milliseconds, so that nobody between takes it for dead. */
const HEARTBEAT_MS = 15_000;
/**
 * How long a stream lives, in milliseconds. Its reader comes again and goes on with the id of the last event; the key is looked
 * at anew then, so one that was revoked through another edge sees nothing for longer than that.
 */
const LIFE_MS = 10 * 60_000;
/** How long a reader waits before it comes again, in milliseconds. */
const RECONNECT_MS = 1_000;
const STREAMS_MAX = 2_000;
/** Of one team, so that none takes them all. */
const TEAM_STREAMS_MAX = 500;

interface SentEvent {
  event: string;
  /** Sent as JSON. */
  data: unknown;
  /** From where the reader goes on when it comes again; that of the event before when absent. */
  id?: string;
}

/** The streams of an edge. */
export class EventStreams {
  readonly #clock: Clock;
  readonly #log: Logger;
  /** With whose key each was opened. */
  readonly #open = new Map<EventStream, Principal | undefined>();

  constructor(clock: Clock, log: Logger) {
    this.#clock = clock;
    this.#log = log;
  }

  /**
   * Answers a request with a stream. It ends when `send` fails, which nobody but the log hears of: the answer has begun.
   *
   * @param send sends events until nobody reads them any more, or ends the stream
   * @returns what the handler of the route returns
   * @throws `RATE_LIMITED` when too many are open
   */
  answer(
    request: FastifyRequest,
    reply: Pick<FastifyReply, 'type'>,
    send: (stream: EventStream) => Promise<void>,
  ): Readable {
    const stream = this.open(request);
    send(stream).catch((error: unknown) => {
      // The pattern, not the path, as in the line of the request.
      this.#log.error({ err: error, route: request.routeOptions.url }, 'a stream of events failed');
      stream.end();
    });
    reply.type(EVENT_STREAM_TYPE);
    return stream.body;
  }

  /**
   * Opens a stream for the caller of the request; its `body` is the answer.
   *
   * @throws `RATE_LIMITED` when too many are open, of all or of the caller's team
   */
  open(request: FastifyRequest): EventStream {
    if (this.#open.size >= STREAMS_MAX)
      throw new DormouseError(
        'RATE_LIMITED',
        `This edge has ${STREAMS_MAX} streams open, and takes no more.`,
      );
    const { caller, principal } = request;
    if (principal && this.#openOf(principal.teamId) >= TEAM_STREAMS_MAX)
      throw new DormouseError(
        'RATE_LIMITED',
        `The team has ${TEAM_STREAMS_MAX} streams open on this edge, which gives it no more. Close some of them.`,
      );
    const leftMs = principal?.expiresAt ? principal.expiresAt.getTime() - this.#clock.nowMs() : LIFE_MS;
    const stream = new EventStream(this.#clock, caller, Math.min(LIFE_MS, Math.max(0, leftMs)));
    // A caller that has gone already has ended it.
    if (stream.signal.aborted) return stream;
    this.#open.set(stream, principal);
    stream.signal.addEventListener('abort', () => this.#open.delete(stream), { once: true });
    return stream;
  }

  #openOf(teamId: string): number {
    let count = 0;
    for (const principal of this.#open.values()) if (principal?.teamId === teamId) count += 1;
    return count;
  }

  /** Ends those of keys that are gone. */
  endOf(isGone: (principal: Principal) => boolean): void {
    for (const [stream, principal] of this.#open) if (principal && isGone(principal)) stream.end();
  }

  /** Ends all of them. Their readers come again, to an edge that takes them. */
  close(): void {
    for (const stream of this.#open.keys()) stream.end();
  }
}

/** One stream. What is sent after its end is dropped. */
export class EventStream {
  /** What the reader gets. */
  readonly body = new PassThrough();
  readonly #clock: Clock;
  readonly #ended = new AbortController();
  readonly #life: Timer;
  #gathered = '';
  #flushing: Timer | undefined;
  #heartbeat: Timer | undefined;

  /** @param lifeMs how long it lives, in milliseconds */
  constructor(clock: Clock, caller?: AbortSignal, lifeMs = LIFE_MS) {
    this.#clock = clock;
    this.#life = clock.after(lifeMs, () => this.end());
    // The answer is torn down when the reader hangs up; that is no error.
    this.body.on('error', () => {});
    this.body.once('close', () => this.#stop());
    if (caller?.aborted) this.#stop();
    else caller?.addEventListener('abort', () => this.#stop(), { once: true });
    // The reader gets its headers at once.
    this.#write(`retry: ${RECONNECT_MS}\n\n`);
  }

  /** Aborts when nobody reads any more. */
  get signal(): AbortSignal {
    return this.#ended.signal;
  }

  /** Whether the reader keeps up: what must not be waited for is left out otherwise. */
  get hasRoom(): boolean {
    return !this.body.writableNeedDrain;
  }

  /** Sends an event, together with those that come within a moment. */
  send({ event, data, id }: SentEvent): void {
    if (this.signal.aborted) return;
    this.#gathered += `${id === undefined ? '' : `id: ${id}\n`}event: ${event}\ndata: ${JSON.stringify(data)}\n\n`;
    if (this.#gathered.length >= GATHERED_CHARS_MAX) this.#flush();
    else this.#flushing ??= this.#clock.after(GATHER_MS, () => this.#flush());
  }

  /** Resolves when the reader has taken enough of what was sent, or is gone. */
  async ready(): Promise<void> {
    if (!this.hasRoom) await once(this.body, 'drain', { signal: this.signal }).catch(() => undefined);
  }

  /** Sends what waits and ends the answer. */
  end(): void {
    if (this.signal.aborted) return;
    this.#flush();
    // Whoever does not read would keep the end from coming, too.
    if (this.hasRoom) this.body.end();
    else this.body.destroy();
    this.#stop();
  }

  #flush(): void {
    this.#flushing?.cancel();
    this.#flushing = undefined;
    if (this.#gathered !== '') this.#write(this.#gathered);
    this.#gathered = '';
  }

  #write(text: string): void {
    this.body.write(text);
    this.#heartbeat?.cancel();
    this.#heartbeat = this.#clock.after(HEARTBEAT_MS, () => this.#write(':\n\n'));
  }

  #stop(): void {
    for (const timer of [this.#life, this.#flushing, this.#heartbeat]) timer?.cancel();
    this.#ended.abort();
  }
}
