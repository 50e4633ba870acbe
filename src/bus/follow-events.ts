import { jetstream } from '@nats-io/jetstream';
import { eventStream } from '../../nats/streams.ts';
import type { Clock } from '../clock.ts';
import { messageOf } from '../errors/index.ts';
import type { Logger } from '../log.ts';
import { type Connection, unavailable } from './connection.ts';
import { eachMessage } from './each-message.ts';
import { transitionIn } from './event-message.ts';
import { isMissing, JETSTREAM_TIMEOUT_MS, manager } from './streams.ts';
import { teamEventSubjects } from './subjects.ts';
import type { EventLog } from './types.ts';

/** How long somebody who follows waits before it tries again after a failure, in milliseconds. */
const RETRY_MS = 500;
/** How many events are on their way to somebody who is slow; the server keeps the rest. */
const ON_THEIR_WAY_MAX = 200;

type Follower = Pick<EventLog, 'handled' | 'follow'>;

/**
 * Reads the stream beside its durable consumers: for somebody who looks on, and leaves nothing at the server when it goes. Each
 * has an ordered consumer of its own, which is in memory and asks for no acknowledgements.
 */
export function createFollower(connection: Connection, clock: Clock, log: Logger): Follower {
  const js = jetstream(connection.nc, { timeout: JETSTREAM_TIMEOUT_MS });

  async function handled(durable: string): Promise<number> {
    if (connection.status() !== 'connected')
      throw unavailable('The stream of events is not asked: no connection.');
    try {
      const jsm = await manager(connection);
      const { ack_floor } = await jsm.consumers.info(eventStream.name, durable);
      const { state } = await jsm.streams.info(eventStream.name);
      // What the stream has dropped comes to nobody any more.
      return Math.max(ack_floor.stream_seq, state.first_seq - 1);
    } catch (error) {
      if (isMissing(error)) return 0;
      throw unavailable('The stream of events does not answer; try again.', error);
    }
  }

  /** Whether the stream has everything after that number. Throws when it does not answer. */
  async function hasAllAfter(streamSeq: number): Promise<boolean> {
    const { state } = await (await manager(connection)).streams.info(eventStream.name);
    return streamSeq >= state.first_seq - 1 && streamSeq <= state.last_seq;
  }

  const follow: EventLog['follow'] = async (teamId, afterStreamSeq, handle, signal) => {
    let last = afterStreamSeq;
    while (!signal.aborted && connection.status() !== 'closed') {
      try {
        if (!(await hasAllAfter(last))) return false;
        await deliver(teamId, last, signal, async (event) => {
          await handle(event);
          last = event.streamSeq;
        });
      } catch (error) {
        if (!isMissing(error))
          log.debug({ reason: messageOf(error) }, 'events cannot be followed; trying again');
      }
      if (!signal.aborted) await clock.sleep(RETRY_MS, signal).catch(() => undefined);
    }
    return true;
  };

  /** Delivers until the signal aborts or the consumer is lost; throws in the second case. */
  async function deliver(
    teamId: string,
    afterStreamSeq: number,
    signal: AbortSignal,
    handle: Parameters<EventLog['follow']>[2],
  ): Promise<void> {
    const consumer = await js.consumers.get(eventStream.name, {
      filter_subjects: teamEventSubjects(teamId),
      opt_start_seq: afterStreamSeq + 1,
    });
    try {
      await eachMessage(
        consumer,
        ON_THEIR_WAY_MAX,
        async (message) => {
          const transition = signal.aborted ? undefined : transitionIn(message, log);
          if (transition) await handle({ transition, streamSeq: message.seq });
        },
        signal,
      );
    } finally {
      // The server would forget it after some minutes.
      if (connection.status() === 'connected') await consumer.delete().catch(() => undefined);
    }
  }

  return { handled, follow };
}
