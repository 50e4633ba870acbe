import { type Consumer, type JsMsg, jetstream } from '@nats-io/jetstream';
import { eventConsumer, eventStream } from '../../nats/streams.ts';
import type { SandboxTransition } from '../actors/sandbox/protocol.ts';
import type { Clock } from '../clock.ts';
import { DormouseError, messageOf } from '../errors/index.ts';
import type { Logger } from '../log.ts';
import { type Connection, unavailable } from './connection.ts';
import { eachMessage } from './each-message.ts';
import { encodeBody } from './envelope.ts';
import { transitionIn } from './event-message.ts';
import { createFollower } from './follow-events.ts';
import { ensureStream, isMissing, JETSTREAM_TIMEOUT_MS, manager, once } from './streams.ts';
import { eventSubject } from './subjects.ts';
import type { EventLog, StoredEvent } from './types.ts';

/** How long a consumer waits before it tries again after a failure, in milliseconds. */
const RETRY_MS = 500;
/** How long a handler's failed event waits until it is delivered again, in milliseconds. */
const REDELIVERY_MS = 1_000;
/** How long an acknowledgement may take until the event is given up to its redelivery, in milliseconds. */
const ACK_TIMEOUT_MS = 2_000;
/** How often the server is told that a handler is still at work, in milliseconds; less than the consumer's `ack_wait`. */
const WORKING_MS = 2_000;
/** How many events are on their way to a consumer; the server keeps the rest. */
const ON_THEIR_WAY_MAX = 16;
/** What an event's headers take of what the server takes for a message. */
const HEADERS_BYTES = 512;

/**
 * The stream of events over JetStream. An event is stored at least once and delivered at least once: within two minutes
 * its message id keeps it from being stored again, and consumers drop what they have seen by its sequence number.
 */
export function createEventLog(connection: Connection, clock: Clock, log: Logger): EventLog {
  const js = jetstream(connection.nc, { timeout: JETSTREAM_TIMEOUT_MS });
  const stream = once(async () => ensureStream(await manager(connection), eventStream));

  async function append(transition: SandboxTransition): Promise<void> {
    if (connection.status() !== 'connected') throw unavailable('The event is not stored: no connection.');
    const state = transition.sandbox.state;
    const subject = eventSubject(transition.team_id, transition.sandbox_id, state);
    const data = encodeBody(transition);
    const maxBytes = connection.nc.info?.max_payload;
    if (maxBytes !== undefined && data.length + HEADERS_BYTES > maxBytes)
      throw new DormouseError(
        'PAYLOAD_TOO_LARGE',
        `The event has ${data.length} bytes; the stream takes ${maxBytes}.`,
      );
    try {
      await stream.done();
      await js.publish(subject, data, {
        msgID: `${transition.sandbox_id}:${transition.seq}`,
        expect: { streamName: eventStream.name },
        timeout: JETSTREAM_TIMEOUT_MS,
      });
    } catch (cause) {
      // The stream may have been lost with its server; the next event makes it again.
      stream.forget();
      throw unavailable('The event is not stored; it can be sent again.', cause);
    }
  }

  /** Makes sure of the stream and of the durable consumer. */
  async function openConsumer(durable: string): Promise<Consumer> {
    const jsm = await manager(connection);
    await ensureStream(jsm, eventStream);
    try {
      await jsm.consumers.info(eventStream.name, durable);
    } catch (error) {
      if (!isMissing(error)) throw error;
      await jsm.consumers.add(eventStream.name, { ...eventConsumer, durable_name: durable });
    }
    return js.consumers.get(eventStream.name, durable);
  }

  /** Delivers until the signal aborts or the consumer is lost; throws in the second case. */
  async function deliver(
    consumer: Consumer,
    handle: (event: StoredEvent) => Promise<void>,
    signal: AbortSignal,
  ): Promise<void> {
    await eachMessage(
      consumer,
      ON_THEIR_WAY_MAX,
      async (message) => {
        // What was on its way when the signal aborted goes back at once, for the next consumer.
        if (signal.aborted) message.nak();
        else await handleOne(message, handle);
      },
      signal,
    );
  }

  async function handleOne(message: JsMsg, handle: (event: StoredEvent) => Promise<void>): Promise<void> {
    const transition = transitionIn(message, log);
    // It is never delivered again: nobody of this version can handle it.
    if (!transition) return message.term();
    let settled = false;
    let timer = clock.after(WORKING_MS, function working() {
      message.working();
      timer = clock.after(WORKING_MS, working);
    });
    try {
      await handle({
        transition,
        streamSeq: message.seq,
        async ack() {
          settled = true;
          if (!(await message.ackAck({ timeout: ACK_TIMEOUT_MS }))) {
            throw unavailable('The acknowledgement was not confirmed; the event will come again.');
          }
        },
        retry(delayMs) {
          settled = true;
          message.nak(delayMs);
        },
      });
    } catch (error) {
      log.warn({ err: error, streamSeq: message.seq }, 'an event was not handled; it will come again');
      if (!settled) message.nak(REDELIVERY_MS);
    } finally {
      timer.cancel();
    }
  }

  async function consume(
    durable: string,
    handle: (event: StoredEvent) => Promise<void>,
    signal: AbortSignal,
  ): Promise<void> {
    while (!signal.aborted && connection.status() !== 'closed') {
      try {
        await deliver(await openConsumer(durable), handle, signal);
      } catch (error) {
        log.warn({ durable, reason: messageOf(error) }, 'the consumer of events was lost; making it again');
      }
      if (!signal.aborted) await clock.sleep(RETRY_MS, signal).catch(() => undefined);
    }
  }

  return { append, consume, ...createFollower(connection, clock, log) };
}
