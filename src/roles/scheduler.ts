import { aborted, Parts, type RoleContext } from './context.ts';
import { startSchedulerPart } from './scheduler-part.ts';
import { joinBus, joinRecords, required, rolePorts } from './shared.ts';

/** `dormouse scheduler`: one member of the scheduler's queue group as a process of its own. */
export async function runScheduler({ config, signal, print }: RoleContext): Promise<void> {
  const parts = new Parts();
  try {
    const natsUrl = required(config.natsUrl, 'NATS_URL', 'scheduler');
    const databaseUrl = required(config.databaseUrl, 'DATABASE_URL', 'scheduler');
    const ports = await rolePorts('scheduler', config);
    const records = await joinRecords(parts, databaseUrl, ports);
    const bus = await joinBus(parts, natsUrl, 'scheduler', ports);
    parts.add(await startSchedulerPart(bus, records, ports), (part) => part.close());
    print('scheduler: ready');
    await aborted(signal);
  } finally {
    await parts.close();
  }
}
