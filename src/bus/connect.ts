import { createBus } from './bus.ts';
import { type ConnectionOptions, openConnection } from './connection.ts';
import { createEventLog } from './events.ts';
import { createHostDirectory } from './hosts.ts';
import type { Bus } from './types.ts';

export interface BusOptions extends ConnectionOptions {
  /** How long a host's entry in the directory lives, in milliseconds. Default: 15 seconds. */
  hostTtlMs?: number;
}

/**
 * Connects to NATS and returns the bus. From then on it reconnects by itself, for ever.
 *
 * @throws `BUS_UNAVAILABLE` when the first connection cannot be made, `CONFIG_INVALID` when the URL is not one
 */
export async function connectBus(options: BusOptions): Promise<Bus> {
  const { clock, log, inboxPrefix, hostTtlMs } = options;
  const connection = await openConnection(options);
  return createBus({
    connection,
    events: createEventLog(connection, clock, log),
    hosts: createHostDirectory(connection, log, hostTtlMs),
    clock,
    log,
    inboxPrefix,
  });
}
