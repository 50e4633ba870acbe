import { access } from 'node:fs/promises';
import { ExecaError, execa } from 'execa';
import { DormouseError, type ErrorCode } from '../../../errors/index.ts';
import { faultPoint } from '../../../fault-points.ts';

/**
 * dmsetup(8). A command runs to its end, whatever became of who asked for it: one that is killed half-way has still
 * changed the kernel's state, and nobody knows how far. So there is a time limit and no signal.
 */

/** How long a command may take, in milliseconds. Longer than a busy machine needs; udev that does not answer takes for ever. */
const COMMAND_LIMIT_MS = 20_000;

/** Where a running udev listens; libdevmapper looks for the same file (`udev_queue_get_udev_is_active`). */
const UDEV_CONTROL = '/run/udev/control';

/**
 * Why a command failed, from its exit status and its words. `busy`: a device that was to be removed is open. `exists`: the
 * name or UUID of a new one is taken; the kernel says busy to that as well, so the ioctl's name decides. `absent`: there
 * is no such device. `forbidden`: not root. `unsupported`: the kernel has no device-mapper.
 */
export type DmFailure = 'busy' | 'exists' | 'absent' | 'forbidden' | 'unsupported' | 'timeout' | 'other';

const WORDS: ReadonlyArray<[RegExp, DmFailure]> = [
  [/device-mapper: remove ioctl on .*failed: Device or resource busy/, 'busy'],
  [/device-mapper: create ioctl on .*failed: Device or resource busy/, 'exists'],
  [/device-mapper: (remove|table|status|info|deps) ioctl on .*failed: No such device or address/, 'absent'],
  [/^Device does not exist\.$/m, 'absent'],
  [/control: open failed: Permission denied/, 'forbidden'],
  [/control: open failed: |Failure to communicate with kernel device-mapper driver/, 'unsupported'],
];

const CODE_OF: Partial<Record<DmFailure, ErrorCode>> = {
  busy: 'DEVICE_BUSY',
  unsupported: 'DEPENDENCY_MISSING',
};

/** What a failed command's words mean. @param output what it wrote to standard error, in the C locale */
export function classify(output: string): DmFailure {
  return WORDS.find(([pattern]) => pattern.test(output))?.[1] ?? 'other';
}

/**
 * Runs dmsetup and returns what it printed.
 *
 * @param args without the program's name
 * @param table lines for its standard input
 * @throws `DEVICE_BUSY`, `DISK_FAILED`, `DEPENDENCY_MISSING`, with `command`, `output`, `exit_status` and `failure` in the data
 */
export async function dmsetup(args: readonly string[], table?: string): Promise<string> {
  try {
    const { stdout } = await execa('dmsetup', args, {
      env: { LC_ALL: 'C', ...(await udevSettings()) },
      timeout: COMMAND_LIMIT_MS,
      ...(table === undefined ? { stdin: 'ignore' } : { input: table }),
    });
    faultPoint(`dmsetup ${args[0]} done`);
    return stdout;
  } catch (error) {
    if (!(error instanceof ExecaError)) throw error;
    throw dmError(args, error, table);
  }
}

/** The failure of an error that `dmsetup` threw; undefined for any other. */
export function failureOf(error: unknown): DmFailure | undefined {
  return error instanceof DormouseError ? (error.data?.failure as DmFailure | undefined) : undefined;
}

/**
 * Where udev runs, it makes the nodes, and dmsetup waits for it. Where it does not, Debian's libdevmapper would leave
 * them to it all the same, unless told otherwise. Both at once would race, so it is one or the other.
 */
async function udevSettings(): Promise<{ DM_DISABLE_UDEV?: string }> {
  const runs = await access(UDEV_CONTROL).then(
    () => true,
    () => false,
  );
  return runs ? {} : { DM_DISABLE_UDEV: '1' };
}

function dmError(args: readonly string[], error: ExecaError, table: string | undefined): DormouseError {
  const command = ['dmsetup', ...args];
  if (error.code === 'ENOENT')
    return new DormouseError('DEPENDENCY_MISSING', 'dmsetup is not installed. Install dmsetup.', {
      data: { command },
      cause: error,
    });
  const output = String(error.stderr ?? '').trim() || error.shortMessage;
  const failure = error.timedOut ? 'timeout' : classify(output);
  const detail = error.timedOut
    ? `${command.join(' ')} did not end within ${COMMAND_LIMIT_MS} ms. Does udev answer (${UDEV_CONTROL})?`
    : `${command.join(' ')}: ${output}`;
  return new DormouseError(CODE_OF[failure] ?? 'DISK_FAILED', detail, {
    data: { command, output, exit_status: error.exitCode ?? null, failure, ...(table && { table }) },
    cause: error,
  });
}
