import { type LoopRegistry, loopRegistryCommands } from '../actors/loop-registry/index.ts';
import { loopRegistrySubject } from './subjects.ts';
import { type Bus, endpoint, type Responder } from './types.ts';

/** Serves a host's loop registry: `dormouse.loop-registry.<host>.<command>`. */
export async function serveLoopRegistry(bus: Bus, registry: LoopRegistry): Promise<Responder> {
  return await bus.service(
    loopRegistrySubject(registry.id),
    [
      endpoint(loopRegistryCommands.acquire, ({ image, holder }, context) =>
        registry.acquire(image, holder, context),
      ),
      endpoint(loopRegistryCommands.release, ({ image, holder }, context) =>
        registry.release(image, holder, context),
      ),
      endpoint(loopRegistryCommands.list, async () => ({ loops: registry.list() })),
    ],
    {
      name: 'dormouse-loop-registry',
      description: 'Keeps one read-only loop device for each image in use',
      metadata: { host: registry.id },
      maxInFlight: 256,
    },
  );
}
