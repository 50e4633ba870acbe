import { type Host, hostCommands } from '../actors/host/index.ts';
import type { HostActorKind, Leak } from '../actors/host/inspection-protocol.ts';
import type { LoopRegistry } from '../actors/loop-registry/index.ts';
import { imageName } from '../actors/loop-registry/inspect.ts';
import type { CommandContext } from '../actors/system/command.ts';
import type { Inspection } from '../actors/system/inspection.ts';
import type { BusInspector } from './inspector.ts';
import { endpoint, type ServiceEndpoint } from './types.ts';

/** The commands of those who look at a host: what it is in the middle of, what it holds, and what is nobody's. */
export function inspectionEndpoints(
  host: Host,
  loops: LoopRegistry,
  inspector: Pick<BusInspector, 'recent'>,
): ServiceEndpoint[] {
  const now: Record<HostActorKind, () => Inspection> = {
    host: () => host.inspection(),
    'loop-registry': () => loops.inspection(),
  };
  const leaksOf = async (context: CommandContext): Promise<Leak[]> => {
    const ofLoops = (await loops.leaks(context)).map(({ device, detail }) => ({
      ...{ kind: 'loop', name: device, detail },
    }));
    return [...(await host.leaks()), ...ofLoops];
  };
  return [
    endpoint(hostCommands.leaks, async (_, context) => ({ leaks: await leaksOf(context) })),
    endpoint(hostCommands.inspect, async ({ kind }) => ({
      now: now[kind](),
      recent: inspector.recent(kind),
    })),
    endpoint(hostCommands.holdings, async (_, context) => ({
      ...(await host.holdings()),
      loops: loops.list().map(({ device, image, holders }) => ({ device, image: imageName(image), holders })),
      leaks: await leaksOf(context),
    })),
    endpoint(hostCommands.usage, async ({ team_id }, { signal }) => await host.usage(team_id, signal)),
  ];
}
