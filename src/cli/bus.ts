import type { Bus } from '../bus/types.ts';
import { type Clock, systemClock } from '../clock.ts';
import { natsAddress } from './server-info.ts';

/**
 * Connects to the bus for the time of `work`.
 *
 * @throws what `work` throws; `BUS_UNAVAILABLE` when no server is known or it does not answer
 */
export async function withBus<T>(work: (bus: Bus, clock: Clock) => Promise<T>): Promise<T> {
  const url = await natsAddress();
  // Loaded when it is needed: most commands speak HTTP, and start twice as fast without the libraries of NATS.
  const [{ connectBus }, { createLogger }] = await Promise.all([
    import('../bus/index.ts'),
    import('../log.ts'),
  ]);
  // What goes wrong is thrown, and told once.
  const log = createLogger('cli', 'silent');
  const bus = await connectBus({ url, name: 'dormouse cli', clock: systemClock, log });
  try {
    return await work(bus, systemClock);
  } finally {
    await bus.drain();
  }
}
