import { readdir, readFile } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { execa } from 'execa';

/** How long what was told to end may take to be gone, in milliseconds. */
const SETTLE_MS = 5_000;
const SETTLE_STEP_MS = 100;

/** What a kernel holds that somebody has to undo: a line for each thing, for a person. */
export async function look(): Promise<Set<string>> {
  const found = await Promise.all([devices(), loops(), mounts(), namespaces(), processes()]);
  return new Set(found.flat());
}

export function newSince(before: ReadonlySet<string>, now: ReadonlySet<string>): string[] {
  return [...now].filter((thing) => !before.has(thing));
}

/** Asks until nothing is left, for some seconds at most. Returns what is left at last. */
export async function settle(left: () => Promise<string[]>): Promise<string[]> {
  const deadline = performance.now() + SETTLE_MS;
  for (;;) {
    const things = await left();
    if (things.length === 0 || performance.now() > deadline) return things;
    await delay(SETTLE_STEP_MS);
  }
}

async function devices(): Promise<string[]> {
  const { stdout } = await execa('dmsetup', ['ls']);
  return stdout
    .split('\n')
    .filter((line) => line !== 'No devices found' && line !== '')
    .map((line) => `device ${line.replace('\t', ' ')}`);
}

/** A loop device has the file `loop/backing_file` while it is bound. */
async function loops(): Promise<string[]> {
  const names = (await entries('/sys/block')).filter((name) => name.startsWith('loop'));
  const bound = await Promise.all(
    names.map(async (name) => ({ name, file: await read(`/sys/block/${name}/loop/backing_file`) })),
  );
  return bound
    .filter(({ file }) => file !== '')
    .map(({ name, file }) => `loop device ${name} on ${file.trim()}`);
}

/** `ip netns` mounts each namespace, and its folder when it makes the first: namespaces are looked at by themselves. */
async function mounts(): Promise<string[]> {
  const lines = (await read('/proc/self/mounts'))
    .split('\n')
    .filter((line) => line !== '' && !line.split(' ')[1]?.startsWith('/run/netns'));
  return lines.map((line) => `mount ${line.split(' ').slice(0, 3).join(' ')}`);
}

async function namespaces(): Promise<string[]> {
  return (await entries('/run/netns')).map((name) => `network namespace ${name}`);
}

/** What has no command line is the kernel's own; udevd has helpers as it likes. */
const NOBODYS = /^$|^dmsetup ls$|systemd-udevd|^\(udev-worker\)/;

async function processes(): Promise<string[]> {
  const pids = (await entries('/proc')).filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid);
  const found = await Promise.all(
    pids.map(async (pid) => {
      const command = (await read(`/proc/${pid}/cmdline`)).replaceAll('\0', ' ').trim();
      return NOBODYS.test(command) ? [] : [`process ${pid}: ${command.slice(0, 200)}`];
    }),
  );
  return found.flat();
}

async function entries(dir: string): Promise<string[]> {
  return readdir(dir).catch(() => []);
}

/** Empty when it went away meanwhile. */
async function read(file: string): Promise<string> {
  return readFile(file, 'utf8').catch(() => '');
}
