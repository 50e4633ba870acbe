import type { Clock } from '../../clock.ts';
import type { Logger } from '../../log.ts';

/** What actors need of the world, apart from their drivers. */
export interface ActorPorts {
  clock: Clock;
  log: Logger;
}

/** Takes the events of an outbox, once each by id. Implemented by the bus's stream. */
export interface EventSink<Event> {
  /**
   * Resolves when the event is stored; rejects when that cannot be known. It is then handed over again, unless the error says that
   * it can never be stored: `PAYLOAD_TOO_LARGE`, or a `RangeError` for ids that no subject can have.
   */
  append(event: Event): Promise<void>;
}
