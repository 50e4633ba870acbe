import { readFile } from 'node:fs/promises';
import { ExecaError, execa } from 'execa';
import { seeLoops } from '../../drivers/loop/look.ts';
import { DormouseError } from '../../errors/index.ts';

/**
 * Which block devices stand on which loop device, asked of the kernel. Names are those of device-mapper where there is
 * one, else the kernel's (`md0`). A process that merely holds a loop device open is no user in this sense: the kernel
 * does not say who it is.
 */

/** `/dev/loopN` → names of the devices that use it, sorted. A loop device without users is absent. */
type LoopUsers = ReadonlyMap<string, readonly string[]>;

/** Asks for the users. Throws `LOOP_FAILED`, `DEPENDENCY_MISSING`. */
export type AskUsers = (signal: AbortSignal) => Promise<LoopUsers>;

/** Major number of loop devices, Documentation/admin-guide/devices.txt. */
const LOOP_MAJOR = 7;

/** The holders that sysfs shows. The kernel makes the entry when a table names the device, before the table is active. */
export const sysfsUsers: AskUsers = async () =>
  new Map(
    seeLoops(() => true)
      .filter(({ users }) => users.length > 0)
      .map(({ device, users }) => [device, users]),
  );

/** The kernel's whole answer, for a start: sysfs and the tables of device-mapper, together. */
export const kernelUsers: AskUsers = async (signal) => {
  const users = new Map(await sysfsUsers(signal));
  for (const [loop, user] of await tableUsers(signal))
    users.set(loop, [...new Set([...(users.get(loop) ?? []), user])].sort());
  return users;
};

async function tableUsers(signal: AbortSignal): Promise<Array<[loop: string, user: string]>> {
  // /dev/mapper/control can be there without a driver behind it; the list of misc devices names only what is loaded.
  if (!/\bdevice-mapper$/m.test(await readFile('/proc/misc', 'utf8'))) return [];
  try {
    const { stdout } = await execa('dmsetup', ['table'], { env: { LC_ALL: 'C' }, cancelSignal: signal });
    return parseTables(stdout);
  } catch (error) {
    if (signal.aborted) throw signal.reason;
    if (!(error instanceof ExecaError)) throw error;
    if (error.code === 'ENOENT')
      throw new DormouseError('DEPENDENCY_MISSING', 'dmsetup is not installed. Install dmsetup.', {
        cause: error,
      });
    const output = String(error.stderr ?? '').trim() || error.shortMessage;
    throw new DormouseError('LOOP_FAILED', `dmsetup table: ${output}`, {
      data: { command: ['dmsetup', 'table'], output },
      cause: error,
    });
  }
}

/**
 * The loop devices that the tables name, and by which device. `dmsetup table` prints a line for each target,
 * `name: 0 524288 snapshot 7:0 7:1 P 8`: the first sector, the length, the target, and its arguments, in which a device is
 * `major:minor` as a word of its own. `No devices found` when there are none. Loop devices have no partitions here, so
 * the minor number is N.
 */
export function parseTables(text: string): Array<[loop: string, user: string]> {
  return text.split('\n').flatMap((line) => {
    const [, name = '', args = ''] = /^(.+): \d+ \d+ \S+(.*)$/.exec(line) ?? [];
    return [...args.matchAll(/(?<= )(\d+):(\d+)(?= |$)/g)]
      .filter(([, major]) => Number(major) === LOOP_MAJOR)
      .map(([, , minor]): [string, string] => [`/dev/loop${minor}`, name]);
  });
}
