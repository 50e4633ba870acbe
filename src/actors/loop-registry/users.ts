import { readdir, readFile } from 'node:fs/promises';
import { ExecaError, execa } from 'execa';
import { DormouseError } from '../../errors/index.ts';

/**
 * Which block devices stand on which loop device, asked of the kernel. Names are those of device-mapper where there is
 * one, else the kernel's (`md0`). A process that merely holds a loop device open is no user in this sense: the kernel
 * does not say who it is.
 */

/** `/dev/loopN` → names of the devices that use it, sorted. A loop device without users is absent. */
export type LoopUsers = ReadonlyMap<string, readonly string[]>;

/** Asks for the users. Throws `LOOP_FAILED`, `DEPENDENCY_MISSING`. */
export type AskUsers = (signal: AbortSignal) => Promise<LoopUsers>;

/** Major number of loop devices, Documentation/admin-guide/devices.txt. */
const LOOP_MAJOR = 7;

/**
 * The kernel's answer: the holders that sysfs shows and the tables of device-mapper, together. Tables that were loaded
 * but are not active yet are only in the second.
 */
export const kernelUsers: AskUsers = async (signal) => {
  const pairs = [...(await sysfsUsers()), ...(await deviceMapperUsers(signal))];
  const users = new Map<string, string[]>();
  for (const [loop, user] of pairs) users.set(loop, [...new Set([...(users.get(loop) ?? []), user])].sort());
  return users;
};

async function sysfsUsers(): Promise<Array<[loop: string, user: string]>> {
  const loops = (await readdir('/sys/block')).filter((name) => /^loop\d+$/.test(name));
  const found = await Promise.all(
    loops.map(async (loop) => {
      // A loop device can be removed while this looks.
      const holders = await readdir(`/sys/block/${loop}/holders`).catch(() => []);
      const names = await Promise.all(holders.map(nameOf));
      return names.map((name): [string, string] => [`/dev/${loop}`, name]);
    }),
  );
  return found.flat();
}

async function nameOf(block: string): Promise<string> {
  const name = await readFile(`/sys/block/${block}/dm/name`, 'utf8').catch(() => block);
  return name.trimEnd();
}

async function deviceMapperUsers(signal: AbortSignal): Promise<Array<[loop: string, user: string]>> {
  // /dev/mapper/control can be there without a driver behind it; the list of misc devices names only what is loaded.
  if (!/\bdevice-mapper$/m.test(await readFile('/proc/misc', 'utf8'))) return [];
  try {
    const { stdout } = await execa('dmsetup', ['deps'], { env: { LC_ALL: 'C' }, cancelSignal: signal });
    return parseDeps(stdout);
  } catch (error) {
    if (signal.aborted) throw signal.reason;
    if (!(error instanceof ExecaError)) throw error;
    if (error.code === 'ENOENT')
      throw new DormouseError('DEPENDENCY_MISSING', 'dmsetup is not installed. Install dmsetup.', {
        cause: error,
      });
    const output = String(error.stderr ?? '').trim() || error.shortMessage;
    throw new DormouseError('LOOP_FAILED', `dmsetup deps: ${output}`, {
      data: { command: ['dmsetup', 'deps'], output },
      cause: error,
    });
  }
}

/**
 * Reads what `dmsetup deps` prints, a line for each device: `name: 2 dependencies  : (7, 1) (7, 0)`, with major and
 * minor numbers. `No devices found` when there are none. Loop devices have no partitions here, so the minor number is N.
 */
export function parseDeps(text: string): Array<[loop: string, user: string]> {
  return text.split('\n').flatMap((line) => {
    const [, name = '', devices = ''] = /^(.+): \d+ dependencies\s*:(.*)$/.exec(line) ?? [];
    return [...devices.matchAll(/\((\d+), ?(\d+)\)/g)]
      .filter(([, major]) => Number(major) === LOOP_MAJOR)
      .map(([, , minor]): [string, string] => [`/dev/loop${minor}`, name]);
  });
}
