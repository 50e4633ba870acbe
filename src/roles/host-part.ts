import { access, readFile } from 'node:fs/promises';
import path from 'node:path';
import { limitsOf } from '../actors/host/capacity.ts';
import { Host } from '../actors/host/host.ts';
import { Lane } from '../actors/host/lane.ts';
import { Templates } from '../actors/host/templates.ts';
import { LoopRegistry } from '../actors/loop-registry/index.ts';
import { GuestSessions } from '../actors/sandbox/guest-sessions.ts';
import { Changes, SandboxSubjects, serveHost } from '../bus/serve-host.ts';
import { serveLoopRegistry } from '../bus/serve-loop-registry.ts';
import type { Bus } from '../bus/types.ts';
import { cloneFile } from '../drivers/disk/files.ts';
import { createDiskDriver } from '../drivers/disk/index.ts';
import { createGuestDriver } from '../drivers/guest/index.ts';
import { createNamespaceDriver } from '../drivers/network/namespace/index.ts';
import { createQemuDriver } from '../drivers/vmm/qemu/index.ts';
import { makeFolder, writeFileDurably } from '../durable-file.ts';
import { newHostId } from '../ids.ts';
import { installGuestAssets } from '../images/guest-assets.ts';
import { buildMinimalImage } from '../images/minimal.ts';
import { sandboxPaths } from '../paths.ts';
import { openStore } from '../store/index.ts';
import { type Part, Parts, type RolePorts } from './context.ts';

/** The platform's own template, and the shape that sandboxes have when nobody asks for another. */
export const PLATFORM_TEMPLATE = 'minimal';
export const DEFAULT_SHAPE = { vcpus: 1, memoryMb: 512 };
/** Size of the template's file system, in MiB: small, so that small disks are possible. Disks grow beyond it. */
const PLATFORM_TEMPLATE_MB = 64;
/** Guest kernel and initramfs as the set-up makes them. */
const GUEST_ASSETS = path.join(import.meta.dirname, '..', '..', '.cache', 'guest');

export interface HostPart extends Part {
  host: Host;
  store: string;
  accelerator: { name: string; reason: string };
}

/**
 * Starts the host of this machine on the data directory, which must be locked. Sandboxes that an earlier agent left are
 * adopted before this returns.
 *
 * @param progress called with what is being done, when that can take long
 */
export async function startHostPart(
  bus: Bus,
  ports: RolePorts,
  progress: (what: string) => void,
  signal: AbortSignal,
): Promise<HostPart> {
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
    const drivers = {
      disk: createDiskDriver(config.diskDriver),
      vmm,
      network: createNamespaceDriver({ hostId, spareSlots: config.spareSlots, log, clock }),
      guest: createGuestDriver({ clock }),
      clock,
      sessions: new GuestSessions(),
      cloneFile,
      pathsOf: (sandboxId: string) => sandboxPaths(paths, sandboxId),
      guestTimeoutMs: config.guestTimeoutS * 1000,
    };
    const templates = new Templates(paths.templates);
    await templates.load();
    await templates.ensure(PLATFORM_TEMPLATE, PLATFORM_TEMPLATE_MB, (imagePath) => {
      progress(`making the template ${PLATFORM_TEMPLATE}`);
      return buildMinimalImage({ imagePath, sizeMb: PLATFORM_TEMPLATE_MB, signal });
    });
    const loops = parts.add(
      await LoopRegistry.start({
        hostId,
        folder: paths.templates,
        lane: new Lane().run,
        mailboxSize: config.mailboxSize,
        ports: { clock, log },
      }),
      (started) => started.stop(),
    );
    parts.add(await serveLoopRegistry(bus, loops), (served) => served.close());
    const subjects = new SandboxSubjects(bus);
    const changes = new Changes();
    const host = parts.add(
      await Host.start({
        hostId,
        version,
        root: paths.sandboxes,
        drivers,
        templates,
        kernel,
        accelerator: accelerator.name,
        limits: limitsOf(config),
        mailboxSize: config.mailboxSize,
        ports: { clock, log },
        sink: bus.events,
        output: subjects.output,
        appeared: subjects.appeared,
        vanished: subjects.vanished,
        settled: changes.mark,
      }),
      (started) => started.stop(),
    );
    parts.add(subjects, (open) => open.close());
    parts.add(await serveHost(bus, host, loops, { clock, log }, changes), (served) => served.close());
    return { host, store: store.how, accelerator, close: () => parts.close() };
  } catch (error) {
    await parts.close().catch(() => {});
    throw error;
  }
}

/** The host's name: as set, else the one in the data directory, else a new one that is kept there. */
async function hostIdOf({ config, paths }: RolePorts): Promise<string> {
  if (config.hostId) return config.hostId;
  const there = await access(paths.hostId).then(
    () => true,
    () => false,
  );
  if (!there) await writeFileDurably(paths.hostId, newHostId(), 0o600);
  return (await readFile(paths.hostId, 'utf8')).trim();
}
