import { readdir, readFile, readlink } from 'node:fs/promises';

/**
 * Who holds a block device open, for the message of an error: processes by their descriptors, and mounts. What cannot be
 * seen (another user's processes, another mount namespace) is left out.
 *
 * @param nodes paths under which the device may be open, such as `/dev/mapper/x` and `/dev/dm-0`
 */
export async function openBy(nodes: readonly string[]): Promise<string[]> {
  const mounts = (await readFile('/proc/self/mounts', 'utf8'))
    .split('\n')
    .map((line) => line.split(' '))
    .filter(([source = '']) => nodes.includes(source))
    .map(([, where]) => `mounted on ${where}`);
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  const processes = await Promise.all(
    pids.map(async (pid) => ((await opens(pid, nodes)) ? [`process ${pid} (${await commandOf(pid)})`] : [])),
  );
  return [...mounts, ...processes.flat()];
}

async function opens(pid: string, nodes: readonly string[]): Promise<boolean> {
  // A process may end while it is looked at, and a descriptor may be closed.
  const descriptors = await readdir(`/proc/${pid}/fd`).catch(() => []);
  const targets = await Promise.all(
    descriptors.map((descriptor) => readlink(`/proc/${pid}/fd/${descriptor}`).catch(() => '')),
  );
  return targets.some((target) => nodes.includes(target));
}

async function commandOf(pid: string): Promise<string> {
  return (await readFile(`/proc/${pid}/comm`, 'utf8').catch(() => '?')).trim();
}
