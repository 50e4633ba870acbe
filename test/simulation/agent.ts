import { Host } from '../../src/actors/host/host.ts';
import type { HostDrivers } from '../../src/actors/host/host-options.ts';
import { imageUsers } from '../../src/actors/host/image-users.ts';
import { Lane } from '../../src/actors/host/lane.ts';
import { Templates } from '../../src/actors/host/templates.ts';
import { LoopRegistry, originsOf } from '../../src/actors/loop-registry/index.ts';
import { GuestSessions } from '../../src/actors/sandbox/guest-sessions.ts';
import type { Inspector } from '../../src/actors/system/inspect.ts';
import { createBus } from '../../src/bus/bus.ts';
import { BusInspector } from '../../src/bus/inspector.ts';
import { Changes, SandboxSubjects, serveHost } from '../../src/bus/serve-host.ts';
import { createDeviceMapperDriver } from '../../src/drivers/disk/device-mapper/index.ts';
import { cloneFile } from '../../src/drivers/disk/files.ts';
import { sandboxPaths } from '../../src/paths.ts';
import { lockDataDir } from '../../src/store/lock.ts';
import { simulatedGuest } from './drivers/guest.ts';
import { simulatedNetwork } from './drivers/network.ts';
import { simulatedVmm } from './drivers/vmm.ts';
import { simulatedLog } from './log.ts';
import { HOST_ID, PATHS } from './paths.ts';
import type { Services } from './services/index.ts';
import { here } from './world/process.ts';
import type { World } from './world/world.ts';

/** A host's agent that runs: the real actors over the simulated host. */
export interface Agent {
  host: Host;
  loops: LoopRegistry;
  /** Lets go of everything; sandboxes stay as they are. */
  stop(): Promise<void>;
}

/** How long a simulated guest may take to answer, in milliseconds. */
const GUEST_TIMEOUT_MS = 5_000;

/**
 * Starts the agent in the process that calls this: as `startHostCore` and `startHostPart` do, with the disk driver for
 * device-mapper on the simulated kernel. Throws what they throw.
 */
export async function startAgent(world: World, { nats, stream }: Services): Promise<Agent> {
  const { clock } = world;
  const log = simulatedLog(world);
  const ports = { clock, log };
  const lock = await lockDataDir(PATHS);
  const bus = createBus({
    connection: nats.connect(),
    events: stream.log,
    hosts: stream.directory,
    clock,
    log,
  });
  const inspector = new BusInspector(bus, ports);
  const recorder: Inspector = {
    happened(actor, look) {
      inspector.happened(actor, look);
      world.inspect(look);
    },
  };
  const lane = new Lane().run;
  const drivers: HostDrivers = {
    disk: createDeviceMapperDriver({
      lane,
      clock,
      origins: originsOf(() => loops, clock),
      copyFileSystem: async () => false,
      shrink: async () => {},
    }),
    vmm: simulatedVmm(world),
    network: simulatedNetwork(world),
    guest: simulatedGuest(world),
    clock,
    sessions: new GuestSessions(),
    checkSpace: async () => {},
    cloneFile,
    pathsOf: (sandboxId) => sandboxPaths(PATHS, sandboxId),
    guestTimeoutMs: GUEST_TIMEOUT_MS,
  };
  const templates = new Templates({
    root: PATHS.templates,
    hostId: HOST_ID,
    diskKind: 'device-mapper',
    clock,
    usersOf: imageUsers(drivers.disk, PATHS),
  });
  await templates.load();
  const loops: LoopRegistry = await LoopRegistry.start({
    hostId: HOST_ID,
    folder: PATHS.templates,
    lane,
    mailboxSize: 64,
    ports,
    inspector: recorder,
  });
  const subjects = new SandboxSubjects(bus, clock);
  const changes = new Changes();
  const host = await Host.start({
    hostId: HOST_ID,
    version: '0.0.0',
    folders: PATHS,
    drivers,
    templates,
    // No template is built here.
    images: {
      build: () => Promise.reject(new Error('the simulation builds no images')),
      shrink: async () => {},
      grow: async () => {},
    },
    imageSizeMb: 0,
    uploadMaxMb: 1,
    kernel: { kernelPath: '/kernel', initrdPath: '/initrd' },
    accelerator: 'tcg',
    limits: { vcpus: 64, memoryMb: 65_536 },
    freeMb: async () => 100_000,
    janitorMs: 30_000,
    space: { lowMb: 1, criticalMb: 1, everyMs: 60_000 },
    mailboxSize: 64,
    ports,
    sink: stream.log,
    output: subjects.output,
    appeared: subjects.appeared,
    vanished: subjects.vanished,
    settled: changes.mark,
    inspector: recorder,
  });
  subjects.attach(host);
  const listening = inspector.listen(HOST_ID);
  const served = await serveHost(bus, { host, loops, inspector }, ports, changes);
  return {
    host,
    loops,
    async stop() {
      await served.close();
      listening.close();
      await subjects.close();
      await host.stop();
      await loops.stop();
      await lock.release();
      here().process.die();
    },
  };
}
