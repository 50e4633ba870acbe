import { aborted, Parts, type RoleContext } from './context.ts';
import { startProjectorPart } from './projector-part.ts';
import { joinBus, joinRecords, required, rolePorts } from './shared.ts';

/** `dormouse projector`: the projector as a process of its own. */
export async function runProjector({ config, signal, print }: RoleContext): Promise<void> {
  const parts = new Parts();
  try {
    const natsUrl = required(config.natsUrl, 'NATS_URL', 'projector');
    const databaseUrl = required(config.databaseUrl, 'DATABASE_URL', 'projector');
    const ports = await rolePorts('projector', config);
    const records = await joinRecords(parts, databaseUrl, ports);
    const bus = await joinBus(parts, natsUrl, 'projector', ports);
    parts.add(startProjectorPart(bus, records, ports), (part) => part.close());
    print('projector: ready');
    await aborted(signal);
  } finally {
    await parts.close();
  }
}
