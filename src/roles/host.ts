import { lockDataDir } from '../store/lock.ts';
import { aborted, Parts, type RoleContext } from './context.ts';
import { DEFAULT_SHAPE, PLATFORM_TEMPLATE } from './host-core.ts';
import { startHostPart } from './host-part.ts';
import { joinBus, required, rolePorts } from './shared.ts';

/** `dormouse host`: the host of this machine as a process of its own. */
export async function runHost({ config, signal, print }: RoleContext): Promise<void> {
  const parts = new Parts();
  try {
    const natsUrl = required(config.natsUrl, 'NATS_URL', 'host');
    const ports = await rolePorts('host', config);
    parts.addGuard(await lockDataDir(ports.paths), (lock) => lock.release());
    const bus = await joinBus(parts, natsUrl, 'host', ports);
    const part = await startHostPart(bus, ports, print, signal);
    parts.add(part, (host) => host.close());
    void part.host.warm(PLATFORM_TEMPLATE, DEFAULT_SHAPE);
    print(`host: ${part.host.id} (${part.accelerator.name}: ${part.accelerator.reason}; ${part.store})`);
    await aborted(signal);
  } finally {
    await parts.close();
  }
}
