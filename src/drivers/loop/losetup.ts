import { stat } from 'node:fs/promises';
import { ExecaError, execa } from 'execa';
import { DormouseError, type ErrorCode } from '../../errors/index.ts';
import { faultPoint } from '../../fault-points.ts';
import { deviceNumber } from './device-number.ts';

/**
 * Loop devices by `losetup` (util-linux, losetup(8)). Its exit status alone is not trusted: detaching a device that
 * somebody holds open exits with 0 and only marks it, so whoever needs to know looks again with `listLoops`.
 */

/** A loop device that is bound to a file, as the kernel shows it. */
export interface LoopDevice {
  /** `/dev/loopN`. */
  device: string;
  /** Path of the file when it was bound, or to where it was renamed since. */
  backingFile: string;
  /** Device and inode number of the file, as `fileIdOf` writes them. */
  fileId: string;
  readOnly: boolean;
  /** The kernel frees the device by itself when its last user closes it. */
  autoclear: boolean;
  /** The file has no name any more: it was deleted, or another file was renamed over it. */
  deleted: boolean;
}

/** How long a command may take that changes a device, in milliseconds. */
const COMMAND_LIMIT_MS = 20_000;
const COLUMNS = 'NAME,BACK-FILE,BACK-INO,BACK-MAJ:MIN,RO,AUTOCLEAR';
/** What the kernel appends to the path of a file without a name. */
const DELETED = ' (deleted)';

/** All loop devices that are bound to a file. Throws `LOOP_FAILED`, `DEPENDENCY_MISSING`. */
export async function listLoops(signal: AbortSignal): Promise<LoopDevice[]> {
  return parseLoops(await losetup(['--list', '--json', '--output', COLUMNS], { cancelSignal: signal }));
}

/**
 * Binds a free loop device to the file, read-only, and returns its path, `/dev/loopN`. Each call takes another device. Once
 * begun it runs to its end: one that is killed half-way may have bound a device that nobody knows of.
 *
 * @throws `LOOP_FAILED`, `DEVICE_BUSY`, `DEPENDENCY_MISSING`, with the command and its words in the data
 */
export async function attachReadOnly(file: string, signal: AbortSignal): Promise<string> {
  return await attach(['--find', '--show', '--read-only', '--', file], signal);
}

/**
 * Asks the kernel to unbind the device. When it is in use the kernel only marks it, and this returns all the same.
 *
 * @throws `LOOP_FAILED`, `DEVICE_BUSY`, `DEPENDENCY_MISSING`
 */
export async function detachLoop(device: string, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted();
  await losetup(['--detach', device], { timeout: COMMAND_LIMIT_MS });
  faultPoint('losetup detach done');
}

/**
 * Binds a free loop device to the file, for reading and writing, and returns its path. The kernel does not notice when a
 * file is bound twice: who calls this has looked first.
 *
 * @throws as `attachReadOnly`
 */
export async function attachWritable(file: string, signal: AbortSignal): Promise<string> {
  return await attach(['--find', '--show', '--', file], signal);
}

async function attach(args: readonly string[], signal: AbortSignal): Promise<string> {
  signal.throwIfAborted();
  const device = (await losetup(args, { timeout: COMMAND_LIMIT_MS })).trim();
  faultPoint('losetup attach done');
  return device;
}

/** Device and inode number of a file: what makes it this file, whatever its path. Throws what `stat` throws. */
export async function fileIdOf(file: string): Promise<string> {
  const { dev, ino } = await stat(file);
  return `${deviceNumber(dev)}:${ino}`;
}

/** Reads the JSON that `losetup --list` prints; nothing at all where no device was ever bound. Throws `LOOP_FAILED`. */
export function parseLoops(json: string): LoopDevice[] {
  if (json.trim() === '') return [];
  try {
    const { loopdevices } = JSON.parse(json) as { loopdevices: Array<Record<string, unknown>> };
    return loopdevices.map((row) => {
      const path = String(row['back-file']);
      const deleted = path.endsWith(DELETED);
      return {
        device: String(row.name),
        backingFile: deleted ? path.slice(0, -DELETED.length) : path,
        fileId: `${String(row['back-maj:min']).trim()}:${String(row['back-ino'])}`,
        readOnly: row.ro === true,
        autoclear: row.autoclear === true,
        deleted,
      };
    });
  } catch (cause) {
    throw new DormouseError(
      'LOOP_FAILED',
      'losetup listed loop devices in a form that Dormouse does not know.',
      {
        data: { output: json.slice(0, 1000) },
        cause,
      },
    );
  }
}

async function losetup(
  args: readonly string[],
  limits: { cancelSignal: AbortSignal } | { timeout: number },
): Promise<string> {
  try {
    // The words of its errors are matched below, so they must not be translated.
    return (await execa('losetup', args, { env: { LC_ALL: 'C' }, ...limits })).stdout;
  } catch (error) {
    if ('cancelSignal' in limits && limits.cancelSignal.aborted) throw limits.cancelSignal.reason;
    if (!(error instanceof ExecaError)) throw error;
    throw losetupError(args, error);
  }
}

function losetupError(args: readonly string[], error: ExecaError): DormouseError {
  const command = ['losetup', ...args];
  if (error.code === 'ENOENT')
    return new DormouseError('DEPENDENCY_MISSING', 'losetup is not installed. Install util-linux.', {
      data: { command },
      cause: error,
    });
  const output = String(error.stderr ?? '').trim() || error.shortMessage;
  return new DormouseError(codeOf(output), `${command.join(' ')}: ${output}`, {
    data: { command, output, exit_status: error.exitCode ?? null },
    cause: error,
  });
}

function codeOf(output: string): ErrorCode {
  return output.includes('Device or resource busy') ? 'DEVICE_BUSY' : 'LOOP_FAILED';
}
