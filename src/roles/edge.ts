import { ensureSetKey } from './api-key.ts';
import { aborted, Parts, type RoleContext } from './context.ts';
import { startEdgePart } from './edge-part.ts';
import { joinBus, joinRecords, required, rolePorts } from './shared.ts';

/** `dormouse edge`: one edge as a process of its own. */
export async function runEdge({ config, signal, print }: RoleContext): Promise<void> {
  const parts = new Parts();
  try {
    const natsUrl = required(config.natsUrl, 'NATS_URL', 'edge');
    const databaseUrl = required(config.databaseUrl, 'DATABASE_URL', 'edge');
    const ports = await rolePorts('edge', config);
    const records = await joinRecords(parts, databaseUrl, ports);
    const bus = await joinBus(parts, natsUrl, 'edge', ports);
    await ensureSetKey(records, ports);
    const edge = await startEdgePart(bus, records, ports);
    parts.add(edge, (part) => part.close());
    print(`edge: ${edge.url}`);
    await aborted(signal);
  } finally {
    await parts.close();
  }
}
