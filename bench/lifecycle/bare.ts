import { randomBytes, randomUUID } from 'node:crypto';
import { constants } from 'node:fs';
import { copyFile, mkdir, open, readFile, rename, rm, truncate } from 'node:fs/promises';
import path from 'node:path';
import { systemClock } from '../../src/clock.ts';
import { createGuestDriver } from '../../src/drivers/guest/index.ts';
import { GUEST_PORT, type GuestEndpoint } from '../../src/drivers/guest/types.ts';
import { createNamespaceDriver } from '../../src/drivers/network/namespace/index.ts';
import type { Slot } from '../../src/drivers/network/types.ts';
import { findQemu } from '../../src/drivers/vmm/qemu/launch.ts';
import type { Accelerator, VmSpec } from '../../src/drivers/vmm/types.ts';
import { installGuestAssets } from '../../src/images/guest-assets.ts';
import { createLogger } from '../../src/log.ts';
import type { Paths } from '../../src/paths.ts';
import { BareMachine, type Qemu } from './bare-machine.ts';
import { type Life, TRUE, type Way } from './life.ts';

/** As Dormouse makes them: the saved machine's disk, and the one of a create that boots. */
const SAVED_DISK_MB = 20_480;
const COLD_DISK_MB = 1024;
const MAC = '02:64:6d:be:ec:01';
/** Longest wait for a guest, in milliseconds. */
const GUEST_LIMIT_MS = 60_000;
const EXEC_OUTPUT_BYTES = 1024 * 1024;
const ASSETS = path.join(import.meta.dirname, '..', '..', '.cache', 'guest');

export interface Bare extends Way {
  /** Ends its machines and removes its files and network slots. */
  close(): Promise<void>;
}

/**
 * The same life by a plain script: files are cloned, QEMU is started and told what to do through its monitor, and the guest
 * kit is spoken to, with nothing in between and nothing recorded. It works in the same store as the given Dormouse, with
 * the same kernel, image and accelerator.
 *
 * Network slots are made ahead of time, as Dormouse does; taking one is not part of any measure.
 */
export async function bare(paths: Paths, signal: AbortSignal): Promise<Bare> {
  const guest = createGuestDriver({ clock: systemClock });
  const root = path.join(paths.store, 'bare');
  const kernel = await installGuestAssets(ASSETS, paths.kernel);
  const image = path.join(paths.templates, 'minimal', 'rootfs.ext4');
  const qemu: Qemu = {
    program: await findQemu('qemu-system-x86_64'),
    accelerator: await acceleratorOf(paths),
  };
  const network = createNamespaceDriver({
    hostId: `h-bench-${randomUUID().slice(0, 8)}`,
    spareSlots: 2,
    log: createLogger('bench', 'silent'),
    clock: systemClock,
  });
  const machines = new Set<BareMachine>();
  const saved = new Map<number, { dir: string; token: string }>();
  let next: { holder: string; slot: Slot } | undefined;
  let lives = 0;

  const clone = async (from: string, to: string): Promise<void> => {
    await mkdir(to, { recursive: true });
    for (const file of ['disk', 'memory'])
      await copyFile(path.join(from, file), path.join(to, file), constants.COPYFILE_FICLONE_FORCE);
  };
  const takeSlot = async (): Promise<{ holder: string; slot: Slot }> => {
    const holder = randomUUID();
    return { holder, slot: await network.acquire(holder, signal) };
  };

  /** A sandbox in folder `dir`: on a fresh disk when there is no `source`, else a clone of it. */
  async function start(
    dir: string,
    memoryMb: number,
    diskMb: number,
    source?: { dir: string; token: string },
  ): Promise<Life & { token(): string; snapshot: string }> {
    signal.throwIfAborted();
    const live = path.join(dir, 'live');
    const snapshot = path.join(dir, 'snapshot');
    let { holder, slot } = next ?? (await takeSlot());
    next = undefined;
    let token = source?.token ?? newToken();
    let machine: BareMachine;
    const spec = (): VmSpec => ({
      sandboxId: `bare-${path.basename(dir)}`,
      runDir: path.join(dir, 'run'),
      vcpus: 1,
      memoryMb,
      memoryPath: path.join(live, 'memory'),
      diskPath: path.join(live, 'disk'),
      slot,
      ...kernel,
      mac: MAC,
      hostname: 'bare',
      token,
    });
    const endpoint = (): GuestEndpoint => ({ address: slot.address, port: GUEST_PORT, token });
    const greet = async (): Promise<void> => {
      const identity = {
        hostname: 'bare',
        mac: MAC,
        machineId: randomBytes(16).toString('hex'),
        nextToken: newToken(),
      };
      await guest.identify(endpoint(), identity, patience());
      token = identity.nextToken;
    };
    const patience = (): AbortSignal => AbortSignal.any([signal, AbortSignal.timeout(GUEST_LIMIT_MS)]);
    const load = async (from: string): Promise<void> => {
      await clone(from, live);
      machine = await BareMachine.load(qemu, spec(), from);
      machines.add(machine);
      await greet();
    };
    const stop = async (): Promise<void> => {
      await machine.quit();
      machines.delete(machine);
    };

    if (source) await load(source.dir);
    else {
      await mkdir(live, { recursive: true });
      await copyFile(image, path.join(live, 'disk'), constants.COPYFILE_FICLONE_FORCE);
      await truncate(path.join(live, 'disk'), diskMb * 2 ** 20);
      machine = await BareMachine.boot(qemu, spec());
      machines.add(machine);
      await greet();
      await guest.growRoot(endpoint(), diskMb * 2 ** 20, patience());
    }

    return {
      snapshot,
      token: () => token,
      async exec(argv) {
        const result = await guest.exec(
          endpoint(),
          { execId: randomUUID(), argv, timeoutMs: GUEST_LIMIT_MS, outputLimitBytes: EXEC_OUTPUT_BYTES },
          patience(),
        );
        if (result.exitCode !== 0) throw new Error(`${argv.join(' ')}: exit status ${result.exitCode}`);
      },
      async pause() {
        await machine.save(live);
        await stop();
        await rename(live, snapshot);
      },
      async flushed() {
        await network.release(holder, signal);
        await sync(path.join(snapshot, 'memory'));
        await sync(path.join(snapshot, 'disk'));
      },
      async resume() {
        signal.throwIfAborted();
        ({ holder, slot } = next ?? (await takeSlot()));
        next = undefined;
        await load(snapshot);
        await rm(snapshot, { recursive: true });
      },
      async destroy() {
        if (machines.has(machine)) await stop();
        await rm(dir, { recursive: true, force: true });
        await network.release(holder, AbortSignal.timeout(GUEST_LIMIT_MS));
      },
    };
  }

  /** The machine that a warm create is a clone of: booted once, and used as Dormouse uses it before it is saved. */
  async function savedOf(memoryMb: number): Promise<{ dir: string; token: string }> {
    const known = saved.get(memoryMb);
    if (known) return known;
    const life = await start(path.join(root, `saved-${memoryMb}`), memoryMb, SAVED_DISK_MB);
    for (let round = 0; round < 3; round += 1) await life.exec(['/bin/sh', '-c', 'sync']);
    await life.exec(TRUE);
    await life.pause();
    await life.flushed();
    const made = { dir: life.snapshot, token: life.token() };
    saved.set(memoryMb, made);
    return made;
  }

  async function close(): Promise<void> {
    for (const machine of machines) await machine.kill();
    await rm(root, { recursive: true, force: true });
    for (const { holder } of await network.list())
      if (holder !== undefined) await network.release(holder, AbortSignal.timeout(GUEST_LIMIT_MS));
    await network.stop();
  }

  await mkdir(root);
  try {
    await network.start(new Set(), signal);
  } catch (error) {
    await close();
    throw error;
  }
  return {
    name: 'bare',
    close,
    async prepare(memoryMb) {
      await savedOf(memoryMb);
      next ??= await takeSlot();
    },
    async create({ memoryMb, cold }) {
      lives += 1;
      const dir = path.join(root, String(lives));
      return cold
        ? await start(dir, memoryMb, COLD_DISK_MB)
        : await start(dir, memoryMb, SAVED_DISK_MB, await savedOf(memoryMb));
    },
  };
}

const newToken = (): string => randomBytes(32).toString('hex');

/** The accelerator that Dormouse decided on, so that both are the same. */
async function acceleratorOf(paths: Paths): Promise<Accelerator['name']> {
  const memo = JSON.parse(await readFile(path.join(paths.kernel, 'accelerator.json'), 'utf8')) as {
    accelerator: Accelerator;
  };
  return memo.accelerator.name;
}

async function sync(file: string): Promise<void> {
  const handle = await open(file, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
