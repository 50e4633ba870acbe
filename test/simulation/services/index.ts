import type { World } from '../world/world.ts';
import { SimulatedNats } from './nats.ts';
import { SimulatedRecords } from './records.ts';
import { SimulatedStream } from './stream.ts';

/** What runs on other machines than the host, and outlives it. */
export interface Services {
  nats: SimulatedNats;
  stream: SimulatedStream;
  records: SimulatedRecords;
}

export function startServices(world: World): Services {
  const nats = new SimulatedNats(world);
  return { nats, stream: new SimulatedStream(world, nats), records: new SimulatedRecords(world) };
}
