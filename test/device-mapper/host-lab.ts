import { createHash } from 'node:crypto';
import { mkdtemp, open, readdir, readFile, rm, stat } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { execa } from 'execa';
import type { Test } from 'tap';
import { deviceName, ownerOf } from '../../src/drivers/disk/device-mapper/names.ts';
import { newSandboxId } from '../../src/ids.ts';
import { type Fault, HostProcess, type HostView } from '../support/host-process.ts';
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

export interface HostLab {
  dataDir: string;
  /** The host that runs; another one after `restart`. */
  host(): HostProcess;
  /** Starts a host again after the one before died. */
  restart(): Promise<HostProcess>;
  /** A sandbox that runs and has written `kept` to its disk; the test's teardown destroys it. */
  sandbox(t: Test): Promise<string>;
  /** What the sandbox wrote; throws unless it runs. */
  written(id: string): Promise<string>;
  arm(fault: Fault): Promise<void>;
  disarm(): Promise<void>;
  folder(id: string, ...names: string[]): string;
  /** What is on the machine and what the ledgers, the registry and the host say, side by side. Empty when they agree. */
  disagreements(): Promise<string[]>;
}

const BLOCK = 4096;
const ZEROS = Buffer.alloc(BLOCK);

/** Starts a host with a saved machine, so that sandboxes are clones. The teardown destroys what is left. */
export async function hostLab(
  t: Test,
  settings: Record<string, string> = {},
  dir?: string,
): Promise<HostLab> {
  const dataDir = dir ?? (await mkdtemp(path.join(os.tmpdir(), 'dmh-')));
  const all = { ...SETTINGS, ...settings };
  let next = HostProcess.standby(dataDir, all);
  let host: HostProcess;
  /** Lets the next one begin, and loads another one meanwhile: loading takes most of a start in here. */
  const begin = async (): Promise<HostProcess> => {
    const started = next.start();
    next = HostProcess.standby(dataDir, all);
    return await started;
  };
  t.teardown(() => next.end());
  host = await begin();
  t.teardown(async () => {
    if (host.isDead) host = await begin();
    for (const id of await sandboxesIn(dataDir)) await host.command(id, 'destroy').catch(() => {});
    for (const id of await sandboxesIn(dataDir)) await host.until(id, (view) => view === null, 30_000);
    await host.stop();
    if (!dir) await rm(dataDir, { recursive: true, force: true });
  });
  await host.ask('warm', SHAPE);
  const lab: HostLab = {
    dataDir,
    host: () => host,
    async restart() {
      host = await begin();
      return host;
    },
    async sandbox(t) {
      const id = newSandboxId();
      t.teardown(async () => void (await host.command(id, 'destroy').catch(() => {})));
      await host.ask('create', { id, ...SHAPE });
      await host.ask('exec', { id, cmd: 'echo kept > /written; sync' });
      return id;
    },
    async written(id) {
      // Not from the page cache of the guest: from its disk.
      const reply = await host.ask<{ stdout: string; stderr: string }>('exec', {
        id,
        cmd: 'echo 3 > /proc/sys/vm/drop_caches; cat /written',
      });
      return reply.stdout.trim();
    },
    arm: async (fault) => void (await host.ask('fault', { ...fault })),
    disarm: async () => void (await host.ask('fault')),
    folder: (id, ...names) => path.join(dataDir, 'store', 'sandboxes', id, ...names),
    async disagreements() {
      const ids = await sandboxesIn(dataDir);
      const views = (await Promise.all(ids.map((id) => host.view(id)))).filter((view) => view !== null);
      const leaks = await host.ask<unknown[]>('leaks');
      return [
        ...leaks.map((leak) => `leak ${JSON.stringify(leak)}`),
        ...(await kernelAgainst(dataDir, views, await host.ask('loops'))),
      ];
    },
  };
  return lab;
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
  for (const { id, state, ledger } of views) {
    const folders = await readdir(path.join(dataDir, 'store', 'sandboxes', id)).catch((): string[] => []);
    for (const kind of ['live', 'snapshot'])
      if (folders.includes(kind) !== ledger.includes(kind))
        wrong.push(
          `${id}, ${state}: ${kind}/ is ${folders.includes(kind) ? '' : 'not '}there, ledger ${ledger}`,
        );
  }
  return wrong;
}

/** Ids of the sandboxes that have a folder. */
export async function sandboxesIn(dataDir: string): Promise<string[]> {
  const names = await readdir(path.join(dataDir, 'store', 'sandboxes')).catch(() => []);
  return names.filter((name) => /^sb-/.test(name));
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

/** The transitions of a sandbox as they were published: `from→to`. */
export async function transitions(dataDir: string, id: string): Promise<string[]> {
  const lines = (await readFile(path.join(dataDir, 'events'), 'utf8')).split('\n').filter(Boolean);
  return lines
    .map((line) => JSON.parse(line) as { sandbox_id: string; from: string; to: string })
    .filter((event) => event.sandbox_id === id)
    .map(({ from, to }) => `${from}→${to}`);
}

/** Holds a block device open, as another program would, until the function that it returns is called. */
export async function holdDevice(id: string): Promise<() => Promise<void>> {
  const handle = await open(`/dev/mapper/${deviceName(id)}`, 'r');
  return () => handle.close();
}
