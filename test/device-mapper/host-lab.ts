import { createHash } from 'node:crypto';
import { open, readFile, stat } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { execa } from 'execa';
import type { Test } from 'tap';
import { deviceName, ownerOf } from '../../src/drivers/disk/device-mapper/names.ts';
import { newSandboxId } from '../../src/ids.ts';
import { type HostLab as BareLab, startHostLab } from '../support/host-lab.ts';
import type { HostView } from '../support/host-process.ts';
import { loops, tables } from './lab.ts';

/** A host with device-mapper disks and virtual machines on KVM, inside the kernel that has both. */

/** Small, so that a boot is quick; the disk is larger than the image, so that there is a grown origin. */
export const SHAPE = { memory_mb: 128, vcpus: 1, disk_size_mb: 20_480 };
const SETTINGS = {
  DORMOUSE_IMAGE_SIZE_MB: '128',
  DORMOUSE_SPARE_SLOTS: '1',
  DORMOUSE_ACCELERATOR: 'kvm',
  DORMOUSE_DISK_DRIVER: 'auto',
};

export interface HostLab extends BareLab {
  /** Has the test's teardown destroy the sandbox, if it is there. */
  forget(t: Test, id: string): void;
  /** A sandbox that runs and has written `kept` to its disk; the test's teardown destroys it. */
  sandbox(t: Test): Promise<string>;
  /** What the sandbox wrote; throws unless it runs. */
  written(id: string): Promise<string>;
}

const BLOCK = 4096;
const ZEROS = Buffer.alloc(BLOCK);

/** Starts a host with a saved machine, so that sandboxes are clones. The teardown destroys what is left. */
export async function hostLab(
  t: Test,
  settings: Record<string, string> = {},
  dir?: string,
): Promise<HostLab> {
  const bare = await startHostLab(t, {
    settings: { ...SETTINGS, ...settings },
    ...(dir && { dir }),
    look: async (views, host) => kernelAgainst(bare.dataDir, views, await host.ask('loops')),
  });
  const { host } = bare;
  await host().ask('warm', SHAPE);
  const forget = (t: Test, id: string): void =>
    t.teardown(
      async () =>
        void (await host()
          .command(id, 'destroy')
          .catch(() => {})),
    );
  return {
    ...bare,
    forget,
    async sandbox(t) {
      const id = newSandboxId();
      forget(t, id);
      await host().ask('create', { id, ...SHAPE });
      await host().ask('exec', { id, cmd: 'echo kept > /written; sync' });
      return id;
    },
    async written(id) {
      // Not from the page cache of the guest: from its disk.
      const reply = await host().ask<{ stdout: string; stderr: string }>('exec', {
        id,
        cmd: 'echo 3 > /proc/sys/vm/drop_caches; cat /written',
      });
      return reply.stdout.trim();
    },
  };
}

/** Invariant 2 and 4: devices, loops and holders are exactly those of the ledgers that name a disk. Seen by dmsetup and losetup. */
async function kernelAgainst(
  dataDir: string,
  views: readonly HostView[],
  registry: ReadonlyArray<{ image: string; device: string; holders: string[] }>,
): Promise<string[]> {
  const wrong: string[] = [];
  const attached: string[] = views.filter(({ ledger }) => ledger.includes('disk')).map(({ id }) => id);
  const devices = Object.keys(await tables());
  for (const name of devices) {
    const owner = ownerOf(name)?.sandboxId ?? name;
    if (!attached.includes(owner)) wrong.push(`the device ${name} belongs to no ledger`);
  }
  for (const id of attached)
    if (!devices.includes(deviceName(id))) wrong.push(`${id} has no device, though its ledger names a disk`);
  const bound = await loops(dataDir);
  const cows = bound.filter(({ readOnly }) => !readOnly).map(({ file }) => file);
  for (const file of cows)
    if (!attached.some((id) => file.includes(`/${id}/`)))
      wrong.push(`the loop of ${file} belongs to no ledger`);
  if (cows.length !== attached.length)
    wrong.push(`there are ${cows.length} loops of ${attached.length} disks`);
  const origins = bound.filter(({ readOnly }) => readOnly).map(({ device }) => device);
  const known = registry.map(({ device }) => device);
  if (origins.sort().join() !== known.sort().join())
    wrong.push(`losetup shows the origins ${origins}, the registry knows ${known}`);
  if (origins.length > (attached.length > 0 ? 1 : 0)) wrong.push(`there are ${origins.length} origins`);
  const holders = registry.flatMap((entry) => entry.holders).map((name) => ownerOf(name)?.sandboxId ?? name);
  if (holders.sort().join() !== [...attached].sort().join())
    wrong.push(`the registry has the holders ${holders}, and ${attached} are attached`);
  return wrong;
}

/**
 * SHA-256 of a file's content, in which blocks of zeros and holes are the same: which of the two it is changes when the file
 * system writes them back. Only what is not a hole is read.
 */
export async function checksum(file: string): Promise<string> {
  const { stdout } = await execa('xfs_io', ['-r', '-c', 'seek -a -r 0', file]);
  const places = [...stdout.matchAll(/^(DATA|HOLE)\s+(\d+)$/gm)];
  const { size } = await stat(file);
  const hash = createHash('sha256').update(`${size}`);
  const handle = await open(file, 'r');
  const buffer = Buffer.alloc(BLOCK);
  for (const [index, [, kind, from]] of places.entries()) {
    if (kind !== 'DATA') continue;
    const end = Number(places[index + 1]?.[2] ?? size);
    for (let at = Number(from); at < end; at += BLOCK) {
      const { bytesRead } = await handle.read(buffer, 0, BLOCK, at);
      const block = buffer.subarray(0, bytesRead);
      if (!block.equals(ZEROS.subarray(0, bytesRead))) hash.update(`${at}`).update(block);
    }
  }
  await handle.close();
  return hash.digest('hex');
}

/** How long an event may take until it is published, in milliseconds. */
const PUBLISHED_MS = 10_000;

/** The transitions of a sandbox as they were published, `from→to`, once the last is this one, which follows its answer by some moments. */
export async function transitionsUpTo(dataDir: string, id: string, last: string): Promise<string[]> {
  for (const giveUpAt = Date.now() + PUBLISHED_MS; ; await sleep(20)) {
    const seen = await transitions(dataDir, id);
    if (seen.at(-1) === last || Date.now() > giveUpAt) return seen;
  }
}

async function transitions(dataDir: string, id: string): Promise<string[]> {
  const lines = (await readFile(path.join(dataDir, 'events'), 'utf8')).split('\n').filter(Boolean);
  return lines
    .map((line) => JSON.parse(line) as { sandbox_id: string; from: string; to: string })
    .filter((event) => event.sandbox_id === id)
    .map(({ from, to }) => `${from}→${to}`);
}

/**
 * Whether something was done at a fault point: a step, or a command that changed a device. Looking does nothing, and the host looks
 * at its devices by itself as well.
 */
export function changesSomething(point: string): boolean {
  return !point.endsWith(' begins') && !/^dmsetup (status|info) done$/.test(point);
}

/** Holds a block device open, as another program would, until the function that it returns is called. */
export async function holdDevice(id: string): Promise<() => Promise<void>> {
  const handle = await open(`/dev/mapper/${deviceName(id)}`, 'r');
  return () => handle.close();
}
