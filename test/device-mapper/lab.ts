import { mkdir, mkdtemp, open, realpath, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { execa } from 'execa';
import type { Test } from 'tap';
import { Lane } from '../../src/actors/host/lane.ts';
import { LoopRegistry, originsOf } from '../../src/actors/loop-registry/index.ts';
import { systemClock as clock } from '../../src/clock.ts';
import { createDeviceMapperDriver } from '../../src/drivers/disk/device-mapper/index.ts';
import type { DeviceMapperPorts, DiskDriver, DiskRef } from '../../src/drivers/disk/index.ts';
import { newSandboxId } from '../../src/ids.ts';
import { copyFileSystem } from '../../src/images/copy-file-system.ts';
import { shrinkImage } from '../../src/images/sizes.ts';
import { quiet as log } from '../support/quiet.ts';

/** The disk driver on real devices, with a lane and a loop registry of its own. Only inside the kernel that has device-mapper. */

export interface DiskLab {
  /** Real path; `images` and `sandboxes` are in it. */
  dir: string;
  images: string;
  sandboxes: string;
  lane: Lane;
  registry: LoopRegistry;
  driver: DiskDriver;
  /** A driver whose ports are changed, on the same lane and registry. */
  driverWith(ports: Partial<DeviceMapperPorts>): DiskDriver;
  /** An image of `mb` MiB whose every block says where it is. */
  image(name: string, mb: number): Promise<string>;
  /** A sandbox's folder with nothing in it. */
  disk(): DiskRef;
}

export async function diskLab(t: Test): Promise<DiskLab> {
  const dir = await realpath(await mkdtemp(path.join(os.tmpdir(), 'dml-')));
  const images = path.join(dir, 'images');
  const sandboxes = path.join(dir, 'sandboxes');
  await mkdir(images);
  await mkdir(sandboxes);
  const lane = new Lane();
  const registry = await LoopRegistry.start({
    hostId: 'h-test',
    folder: images,
    lane: lane.run,
    mailboxSize: 1024,
    ports: { clock, log },
  });
  const ports: DeviceMapperPorts = {
    lane: lane.run,
    origins: originsOf(() => registry, clock),
    clock,
    copyFileSystem,
    shrink: shrinkImage,
  };
  const driver = createDeviceMapperDriver(ports);
  t.teardown(async () => {
    for (const device of await driver.list(sandboxes))
      await driver.clear(device, path.join(sandboxes, device.sandboxId, 'live'), AbortSignal.timeout(10_000));
    await registry.stop();
    for (const { device } of await loops(dir)) await execa('losetup', ['-d', device], { reject: false });
    await rm(dir, { recursive: true, force: true });
  });
  return {
    dir,
    images,
    sandboxes,
    lane,
    registry,
    driver,
    driverWith: (changes) => createDeviceMapperDriver({ ...ports, ...changes }),
    async image(name, mb) {
      const file = path.join(images, name);
      const handle = await open(file, 'w');
      for (let at = 0; at < mb; at += 1) await handle.write(pattern(name, at), 0, 2 ** 20, at * 2 ** 20);
      await handle.close();
      return file;
    },
    disk() {
      const sandboxId = newSandboxId();
      return { sandboxId, dir: path.join(sandboxes, sandboxId, 'live') };
    },
  };
}

/** One MiB that tells from which image, and from where in it, it is. */
export function pattern(name: string, mb: number): Buffer {
  return Buffer.alloc(2 ** 20, `${name} ${mb} `);
}

/** Reads from a device or file, past no cache. */
export async function read(file: string, at: number, length: number): Promise<Buffer> {
  const handle = await open(file, 'r');
  try {
    const buffer = Buffer.alloc(length);
    const { bytesRead } = await handle.read(buffer, 0, length, at);
    return buffer.subarray(0, bytesRead);
  } finally {
    await handle.close();
  }
}

/** Writes to a device or file and waits until it is there. */
export async function write(file: string, at: number, data: Buffer): Promise<void> {
  const handle = await open(file, 'r+');
  try {
    await handle.write(data, 0, data.length, at);
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Tables of all devices as dmsetup shows them, by name: not through the code under test. */
export async function tables(): Promise<Record<string, string>> {
  const { stdout } = await execa('dmsetup', ['table']);
  const found: Record<string, string> = {};
  for (const line of stdout.split('\n')) {
    const [, name, table] = /^(\S+): (.*)$/.exec(line) ?? [];
    if (name && table) found[name] = found[name] ? `${found[name]}\n${table}` : table;
  }
  return found;
}

/** Loops of files below `dir` as losetup shows them: not through the code under test. */
export async function loops(
  dir: string,
): Promise<Array<{ device: string; file: string; readOnly: boolean }>> {
  const { stdout } = await execa('losetup', ['-l', '--json', '-O', 'NAME,BACK-FILE,RO']);
  const rows = stdout ? (JSON.parse(stdout).loopdevices as Array<Record<string, unknown>>) : [];
  return rows
    .map((row) => ({
      device: String(row.name),
      file: String(row['back-file']),
      readOnly: row.ro === true,
    }))
    .filter(({ file }) => file.startsWith(`${dir}/`));
}

/** Holds a device or file open until the function that it returns is called. */
export async function hold(file: string): Promise<() => Promise<void>> {
  const handle = await open(file, 'r');
  return () => handle.close();
}

/** A signal for one operation: long enough for an emulated machine, short enough to fail a test that hangs. */
export function limit(ms = 60_000): AbortSignal {
  return AbortSignal.timeout(ms);
}
