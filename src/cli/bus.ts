import type { Bus } from '../bus/types.ts';
import { type Clock, systemClock } from '../clock.ts';
import { loadConfig } from '../config/config.ts';
import { natsAddress } from './server-info.ts';

/**
 * Connects to the bus for the time of `work`, with the name and the credentials that the settings give.
 *
 * @throws what `work` throws; `BUS_UNAVAILABLE` when no server is known or it does not answer; `CONFIG_INVALID`
 */
export async function withBus<T>(work: (bus: Bus, clock: Clock) => Promise<T>): Promise<T> {
  const config = loadConfig();
  const url = await natsAddress(config);
  // Loaded when it is needed: most commands speak HTTP, and start twice as fast without the libraries of NATS.
  const [{ connectBus, readCredentials }, { createLogger }] = await Promise.all([
    import('../bus/index.ts'),
    import('../log.ts'),
  ]);
  // What goes wrong is thrown, and told once.
  const log = createLogger('cli', 'silent');
  const { natsName } = config;
  const bus = await connectBus({
    url,
    name: natsName ?? 'dormouse cli',
    clock: systemClock,
    log,
    // Without a name its replies come where those of all clients do.
    ...(natsName !== undefined && { inboxPrefix: `_INBOX_${natsName}` }),
    ...(await readCredentials(config)),
  });
  try {
    return await work(bus, systemClock);
  } finally {
    await bus.drain();
  }
}
