import type { Bus } from '../bus/types.ts';
import { runProjector } from '../projector/index.ts';
import type { Records } from '../records/types.ts';
import type { Part, RolePorts } from './context.ts';

/** Starts a projector: it brings the stream of events into the database. */
export function startProjectorPart(bus: Bus, records: Records, { clock, log }: RolePorts): Part {
  const stopping = new AbortController();
  const running = runProjector({ bus, records, clock, log, signal: stopping.signal });
  // Its end before `close` is a failure that the log has; the events wait in the stream.
  running.catch((error: unknown) => log.error({ err: error }, 'the projector ended'));
  return {
    async close() {
      stopping.abort();
      await running.catch(() => {});
    },
  };
}
