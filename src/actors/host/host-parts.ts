import { type Clock, within } from '../../clock.ts';
import type { NetworkDriver } from '../../drivers/network/types.ts';
import { messageOf } from '../../errors/index.ts';
import type { SandboxDrivers } from '../sandbox/drivers.ts';
import type { Step } from '../system/step.ts';
import { Builder } from './build.ts';
import { Room, usedBy } from './capacity.ts';
import { Captures } from './captures.ts';
import { DiskWatch } from './disk-watch.ts';
import type { Found, HostOptions } from './host-options.ts';
import { Janitor } from './janitor.ts';
import { Leftovers } from './leftovers.ts';
import type { HostContext } from './machine.ts';
import { Once } from './once.ts';
import { Sandboxes } from './sandboxes.ts';
import { Uploads } from './uploads.ts';
import { WarmMaker } from './warm.ts';

/** What a host is made of, and the two steps of its life. */

/** When nobody says how often the janitor makes its pass, in milliseconds. */
const JANITOR_MS = 30_000;
/** How long adopting what is there may take, in milliseconds. */
export const ADOPT_LIMIT_MS = 120_000;
/** How long letting go may take, in milliseconds: more than its parts may together. */
export const STOP_LIMIT_MS = 60_000;

/** What works for a host, in its process. */
export interface Parts {
  drivers: SandboxDrivers;
  sandboxes: Sandboxes;
  warm: WarmMaker;
  captures: Captures;
  uploads: Uploads;
  builder: Builder;
  leftovers: Leftovers;
  janitor: Janitor;
  watch: DiskWatch;
  room: Room;
  once: Once;
}

/** Puts a host together. Nothing of it works before `adopt`. */
export function partsOf(options: HostOptions): Parts {
  const { templates, ports, folders, hostId } = options;
  const drivers: SandboxDrivers = {
    ...options.drivers,
    checkRoom: (sandbox) => room.checkReturn(hostId, sandbox, sandboxes.all()),
  };
  const root = folders.sandboxes;
  const sandboxes = new Sandboxes({
    ...options,
    drivers,
    root,
    settled(sandbox) {
      if (sandbox.leftovers().length > 0) janitor.poke();
      options.settled();
    },
  });
  const captures = new Captures(folders.captures, ports);
  const uploads = new Uploads({
    root: folders.uploads,
    maxMb: options.uploadMaxMb,
    checkSpace: () => drivers.checkSpace(),
    clock: ports.clock,
  });
  const leftovers = new Leftovers({
    ...{ templates, captures, uploads, log: ports.log },
    sandboxes: () => sandboxes.all(),
  });
  const everyMs = options.janitorMs ?? JANITOR_MS;
  const janitor = new Janitor({ root, drivers, sandboxes, leftovers, everyMs, ports });
  const watch = new DiskWatch({
    disk: drivers.disk,
    sandboxes: () => sandboxes.all(),
    freeMb: options.freeMb,
    marks: options.space,
    ...ports,
  });
  const warm = new WarmMaker({ ...options, drivers, sandboxes });
  const room = new Room(options.limits, () => usedBy(sandboxes.all()));
  const once = new Once();
  const builder = new Builder({ ...options, drivers, sandboxes, captures, uploads, warm, room, once });
  return { drivers, sandboxes, captures, uploads, leftovers, janitor, watch, warm, room, once, builder };
}

/** The steps of the host's machine. @param found gets what `adopt` found */
export function stepsOf(
  { drivers, ports }: Pick<HostOptions, 'drivers' | 'ports'>,
  {
    janitor,
    sandboxes,
    watch,
    warm,
    uploads,
    builder,
  }: Pick<Parts, 'janitor' | 'sandboxes' | 'watch' | 'builder' | 'warm' | 'uploads'>,
  found: Found,
): Record<string, Step<HostContext, unknown>> {
  return {
    adopt: {
      name: 'adopt',
      direction: 'forward',
      timeoutMs: ADOPT_LIMIT_MS,
      async run(_, { signal, log }) {
        const debris = await janitor.begin(signal);
        const holders = await sandboxes.slotHolders();
        const slots = await slotsToClear(drivers.network, holders);
        await drivers.network.start(holders, signal);
        const { unreadable, ...adopted } = await sandboxes.adopt();
        Object.assign(found, adopted, {
          foreign: debris.foreign.length + unreadable,
          cleared: debris.cleared + slots,
        });
        log.info({ ...found, foreignThings: debris.foreign }, 'adopted what was there');
        watch.start();
        janitor.start();
      },
    },
    letGo: {
      name: 'letGo',
      direction: 'undo',
      timeoutMs: STOP_LIMIT_MS,
      async run(_, { log }) {
        const failures: unknown[] = [];
        /** Each for itself: one that is late must not keep the others from being let go of. */
        const end = async (part: string, limitMs: number, stop: () => Promise<void>): Promise<void> => {
          await inTime(ports.clock, limitMs, stop).catch((error: unknown) => {
            log.error({ part, err: messageOf(error) }, 'a part of the host did not end');
            failures.push(error);
          });
        };
        await end('watch', 3_000, () => watch.stop());
        await end('janitor', 5_000, () => janitor.stop());
        await end('builder', 10_000, () => builder.stop());
        await end('warm', 8_000, () => warm.stop());
        await end('uploads', 3_000, () => uploads.stop());
        await end('sandboxes', 20_000, () => sandboxes.stop());
        await end('network', 4_000, () => drivers.network.stop());
        await end('vmm', 4_000, () => drivers.vmm.close());
        if (failures.length > 0) throw failures[0];
      },
    },
  };
}

/** Waits for the end of `work`, and no longer than its time. Rejects when it is late, or failed. */
async function inTime(
  clock: Pick<Clock, 'after'>,
  limitMs: number,
  work: () => Promise<void>,
): Promise<void> {
  await within(clock, limitMs, async (signal) => {
    const late = Promise.withResolvers<never>();
    signal.addEventListener('abort', () => late.reject(signal.reason), { once: true });
    await Promise.race([work(), late.promise]);
  });
}

/** How many slots the network driver is about to remove: their holders hold none by their ledgers. */
async function slotsToClear(network: NetworkDriver, holders: ReadonlySet<string>): Promise<number> {
  // Before the first start of this machine there is nothing that could be listed.
  const slots = await network.list().catch(() => []);
  return slots.filter(({ holder }) => holder !== undefined && !holders.has(holder)).length;
}
