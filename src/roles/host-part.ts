import { BusInspector } from '../bus/inspector.ts';
import { Changes, SandboxSubjects, serveHost } from '../bus/serve-host.ts';
import { serveLoopRegistry } from '../bus/serve-loop-registry.ts';
import type { Bus } from '../bus/types.ts';
import { Parts, type RolePorts } from './context.ts';
import { type HostCore, startHostCore } from './host-core.ts';

/**
 * The host of this machine, with its actors on the bus. See `startHostCore`.
 *
 * @param progress called with what is being done, when that can take long
 */
export async function startHostPart(
  bus: Bus,
  ports: RolePorts,
  progress: (what: string) => void,
  signal: AbortSignal,
): Promise<HostCore> {
  const { clock, log } = ports;
  const parts = new Parts();
  try {
    const subjects = new SandboxSubjects(bus, clock);
    const changes = new Changes();
    const inspector = new BusInspector(bus, { clock, log });
    const core = parts.add(
      await startHostCore(
        ports,
        {
          sink: bus.events,
          output: subjects.output,
          appeared: subjects.appeared,
          vanished: subjects.vanished,
          settled: changes.mark,
          inspector,
        },
        progress,
        signal,
      ),
      (started) => started.close(),
    );
    const { host, loops } = core;
    subjects.attach(host);
    parts.add(await serveLoopRegistry(bus, loops), (served) => served.close());
    parts.add(subjects, (open) => open.close());
    parts.add(inspector.listen(host.id), async (listening) => listening.close());
    parts.add(await serveHost(bus, { host, loops, inspector }, { clock, log }, changes), (served) =>
      served.close(),
    );
    return { ...core, close: () => parts.close() };
  } catch (error) {
    await parts.close().catch(() => {});
    throw error;
  }
}
