import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { limitsOf } from '../actors/host/capacity.ts';
import { Host, type HostOptions } from '../actors/host/host.ts';
import type { HostDrivers } from '../actors/host/host-options.ts';
import type { ImageTools } from '../actors/host/image-tools.ts';
import { imageUsers } from '../actors/host/image-users.ts';
import { Lane } from '../actors/host/lane.ts';
import { checkSpace, type MeasureSpace, type SpaceMarks, whileRoom } from '../actors/host/space.ts';
import { DEFAULT_MEMORY_MB, DEFAULT_VCPUS } from '../actors/host/template-file.ts';
import { Templates } from '../actors/host/templates.ts';
import { LoopRegistry, originsOf } from '../actors/loop-registry/index.ts';
import { GuestSessions } from '../actors/sandbox/guest-sessions.ts';
import type { Clock } from '../clock.ts';
import { cloneFile } from '../drivers/disk/files.ts';
import { createDiskDriver } from '../drivers/disk/index.ts';
import { createGuestDriver } from '../drivers/guest/index.ts';
import { createNamespaceDriver } from '../drivers/network/namespace/index.ts';
import { createQemuDriver } from '../drivers/vmm/qemu/index.ts';
import { exists, makeFolder, writeFileDurably } from '../durable-file.ts';
import { newHostId } from '../ids.ts';
import { copyFileSystem } from '../images/copy-file-system.ts';
import { installGuestAssets } from '../images/guest-assets.ts';
import { buildRootfs, DEFAULT_IMPORT_LIMITS } from '../images/import/index.ts';
import { buildMinimalImage } from '../images/minimal.ts';
import { ensureImageSizes, growImage, shrinkImage } from '../images/sizes.ts';
import { sandboxPaths } from '../paths.ts';
import { freeMb } from '../store/free.ts';
import { openStore } from '../store/index.ts';
import { type Part, Parts, type RolePorts } from './context.ts';

/** The platform's own template, and the shape that sandboxes have when nobody asks for another. */
export const PLATFORM_TEMPLATE = 'minimal';
export const DEFAULT_SHAPE = { vcpus: DEFAULT_VCPUS, memoryMb: DEFAULT_MEMORY_MB };
/** Size that the template is built with, in MiB: as small as it can be. It is expanded as every other image is. */
const PLATFORM_TEMPLATE_MB = 64;
/** Guest kernel and initramfs as the set-up makes them. */
const GUEST_ASSETS = path.join(import.meta.dirname, '..', '..', '.cache', 'guest');

/** What the host tells, and to whom: the bus, or whoever runs a host without one. */
export type HostListeners = Pick<
  HostOptions,
  'sink' | 'output' | 'appeared' | 'vanished' | 'settled' | 'inspector'
>;

/** A host that runs, with all that it works with. Nobody can speak to it over the bus yet. */
export interface HostCore extends Part {
  host: Host;
  loops: LoopRegistry;
  drivers: HostDrivers;
  /** What the store is, for a person. */
  store: string;
  accelerator: { name: string; reason: string };
  disk: { name: string; reason: string };
}

/**
 * Starts the host of this machine on the data directory, which must be locked. Sandboxes that an earlier agent left are
 * adopted before this returns.
 *
 * @param progress called with what is being done, when that can take long
 */
export async function startHostCore(
  ports: RolePorts,
  listeners: HostListeners,
  progress: (what: string) => void,
  signal: AbortSignal,
): Promise<HostCore> {
  const { config, paths, clock, log, version } = ports;
  const parts = new Parts();
  try {
    const store = parts.add(
      await openStore(paths, { sizeMb: config.storeSizeMb, log, clock, signal }),
      (opened) => opened.close(),
    );
    await makeFolder(paths.sandboxes);
    const kernel = await installGuestAssets(GUEST_ASSETS, paths.kernel);
    const hostId = await hostIdOf(ports);
    const vmm = createQemuDriver({
      clock,
      log,
      qemu: config.qemu,
      accelerator: config.accelerator,
      probe: { ...kernel, memoFile: path.join(paths.kernel, 'accelerator.json') },
    });
    const accelerator = await vmm.accelerator(signal);
    const free = (): Promise<number> => freeMb(paths);
    // What is made or resumed below the critical mark would be paused at once.
    const space = {
      lowMb: Math.max(config.diskLowMb, config.diskCriticalMb),
      criticalMb: config.diskCriticalMb,
    };
    const lane = new Lane().run;
    const disk = await createDiskDriver(config.diskDriver, {
      lane,
      clock,
      origins: originsOf(() => loops, clock),
      copyFileSystem,
      shrink: shrinkImage,
    });
    log.info({ diskDriver: disk.driver.kind, reason: disk.reason }, 'disk driver chosen');
    const drivers: HostDrivers = {
      disk: disk.driver,
      vmm,
      network: createNamespaceDriver({ hostId, spareSlots: config.spareSlots, log, clock }),
      guest: createGuestDriver({ clock }),
      clock,
      sessions: new GuestSessions(),
      checkSpace: () => checkSpace(free, space),
      cloneFile,
      pathsOf: (sandboxId) => sandboxPaths(paths, sandboxId),
      guestTimeoutMs: config.guestTimeoutS * 1000,
    };
    const usersOf = imageUsers(disk.driver, paths);
    const templates = new Templates({
      ...{ root: paths.templates, hostId, clock, usersOf },
      diskKind: disk.driver.kind,
    });
    await templates.load();
    await templates.ensure(PLATFORM_TEMPLATE, (imagePath) => {
      progress(`making the template ${PLATFORM_TEMPLATE}`);
      return buildMinimalImage({ imagePath, sizeMb: PLATFORM_TEMPLATE_MB, signal });
    });
    await ensureImageSizes({
      images: templates.images(),
      sizeMb: config.imageSizeMb,
      usersOf,
      growing: (name) => progress(`expanding the image of ${name} to ${config.imageSizeMb} MiB`),
      clock,
      log,
      signal,
    });
    await templates.refresh();
    const loops: LoopRegistry = parts.add(
      await LoopRegistry.start({
        hostId,
        folder: paths.templates,
        lane,
        mailboxSize: config.mailboxSize,
        ports: { clock, log },
        ...(listeners.inspector && { inspector: listeners.inspector }),
      }),
      (started) => started.stop(),
    );
    const host = parts.add(
      await Host.start({
        hostId,
        version,
        folders: paths,
        drivers,
        templates,
        images: imageTools({ clock, free, space, uploadMaxMb: config.uploadMaxMb }),
        imageSizeMb: config.imageSizeMb,
        uploadMaxMb: config.uploadMaxMb,
        kernel,
        accelerator: accelerator.name,
        limits: limitsOf(config),
        freeMb: free,
        space,
        mailboxSize: config.mailboxSize,
        janitorMs: config.janitorS * 1000,
        ports: { clock, log },
        ...listeners,
      }),
      (started) => started.stop(),
    );
    return {
      host,
      loops,
      drivers,
      store: store.how,
      accelerator,
      disk: { name: disk.driver.kind, reason: disk.reason },
      close: () => parts.close(),
    };
  } catch (error) {
    await parts.close().catch(() => {});
    throw error;
  }
}

/** What works on image files here. */
function imageTools({
  clock,
  free,
  space,
  uploadMaxMb,
}: {
  clock: Clock;
  free: MeasureSpace;
  space: SpaceMarks;
  uploadMaxMb: number;
}): ImageTools {
  const limits = {
    ...DEFAULT_IMPORT_LIMITS,
    bytes: Math.max(DEFAULT_IMPORT_LIMITS.bytes, uploadMaxMb * 2 ** 20),
  };
  return {
    build: (options) =>
      whileRoom(free, space, { clock, signal: options.signal }, (signal) =>
        buildRootfs({ ...options, signal, limits, clock }),
      ),
    shrink: shrinkImage,
    grow: growImage,
  };
}

/** The host's name: as set, else the one in the data directory, else a new one that is kept there. */
async function hostIdOf({ config, paths }: RolePorts): Promise<string> {
  if (config.hostId) return config.hostId;
  if (!(await exists(paths.hostId))) await writeFileDurably(paths.hostId, newHostId(), 0o600);
  return (await readFile(paths.hostId, 'utf8')).trim();
}
