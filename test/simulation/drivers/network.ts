import type { NetworkDriver } from '../../../src/drivers/network/types.ts';
import { DormouseError } from '../../../src/errors/index.ts';
import type { World } from '../world/world.ts';

/** The driver of network slots over the simulated namespaces. */
export function simulatedNetwork(world: World): NetworkDriver {
  const { slots, machines } = world;
  const error = (): Error => new DormouseError('NETWORK_FAILED', 'The simulation made the network fail.');
  const release = (holder: string): void => {
    if (machines.of(holder))
      world.violate(`the slot of ${holder} is given back while its machine runs in it`);
    slots.release(holder);
  };
  return {
    kind: 'namespace',
    async start(holders) {
      for (const { holder } of slots.list())
        if (!holders.has(holder)) await world.effect('network release', () => release(holder), { error });
    },
    async acquire(holder, signal) {
      signal.throwIfAborted();
      return await world.effect('network acquire', () => slots.acquire(holder), { error });
    },
    async release(holder, signal) {
      signal.throwIfAborted();
      if (slots.list().some((slot) => slot.holder === holder))
        await world.effect('network release', () => release(holder), { error });
    },
    list: async () => slots.list(),
    stop: async () => {},
  };
}
