import { parseNetworks } from '../addresses.ts';
import type { Bus } from '../bus/types.ts';
import { createEdge, listenEdge } from '../http/index.ts';
import type { Records } from '../records/types.ts';
import type { Part, RolePorts } from './context.ts';

/** Starts an edge. `url` is where it listens. */
export async function startEdgePart(
  bus: Bus,
  records: Records,
  { config, clock, log, version }: RolePorts,
): Promise<Part & { url: string }> {
  const edge = await createEdge({
    bus,
    records,
    clock,
    log,
    version,
    auth: config.auth,
    trustedProxies: config.trustedProxies === undefined ? [] : parseNetworks(config.trustedProxies),
    uploadBytesMax: config.uploadMaxMb * 2 ** 20,
  });
  const url = await listenEdge(edge, { host: config.httpHost, port: config.httpPort });
  return { url, close: () => edge.close() };
}
