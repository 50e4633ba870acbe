import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { fileIdOf, type LoopDevice, listLoops } from './losetup.ts';

/**
 * What sysfs says of loop devices (Documentation/ABI/stable/sysfs-block, sysfs-block-loop of Linux). It takes no process, and no
 * device is opened for it: `losetup --list` opens every loop device of the machine for a moment, in which a device that
 * somebody detaches does not go.
 *
 * The files are read synchronously: they are made of memory, and each is read in microseconds.
 */

/** A loop device that is bound to a file, and what stands on it. */
export interface SeenLoop {
  /** `/dev/loopN`. */
  device: string;
  /** Path of the file now; where it was when it has no name any more. */
  backingFile: string;
  deleted: boolean;
  readOnly: boolean;
  /** The kernel frees the device by itself when its last user closes it. */
  autoclear: boolean;
  /** Size of the device in sectors of 512 bytes. */
  sectors: number;
  /** Devices that stand on it, sorted: names of device-mapper where there is one, else the kernel's (`md0`). */
  users: readonly string[];
}

/** What the kernel appends to the path of a file without a name. */
const DELETED = ' (deleted)';
const SYS_BLOCK = '/sys/block';

/** The loop devices that are bound to files for which `isOurs` is true. */
export function seeLoops(isOurs: (backingFile: string) => boolean): SeenLoop[] {
  return names(SYS_BLOCK)
    .filter((name) => /^loop\d+$/.test(name))
    .flatMap((name) => {
      const file = backingFileOf(name);
      return file && isOurs(file.path) ? [seen(name, file)] : [];
    });
}

/** One loop device, `/dev/loopN`; undefined when it is not bound. */
export function seeLoop(device: string): SeenLoop | undefined {
  const name = path.basename(device);
  const file = backingFileOf(name);
  return file && seen(name, file);
}

/** Whether the loop device is bound to the file that has, or had, this path. */
export function isBound(device: string, backingFile: string): boolean {
  return backingFileOf(path.basename(device))?.path === backingFile;
}

/** A device that is not bound, or is being bound or freed right now, has no such file. */
function backingFileOf(name: string): { path: string; deleted: boolean } | undefined {
  const shown = text(path.join(SYS_BLOCK, name, 'loop', 'backing_file'));
  if (shown === undefined) return undefined;
  const deleted = shown.endsWith(DELETED);
  return { path: deleted ? shown.slice(0, -DELETED.length) : shown, deleted };
}

function seen(name: string, file: { path: string; deleted: boolean }): SeenLoop {
  const at = path.join(SYS_BLOCK, name);
  return {
    device: `/dev/${name}`,
    backingFile: file.path,
    deleted: file.deleted,
    readOnly: text(path.join(at, 'ro')) === '1',
    autoclear: text(path.join(at, 'loop', 'autoclear')) === '1',
    sectors: Number(text(path.join(at, 'size')) ?? 0),
    users: names(path.join(at, 'holders')).map(deviceMapperName).sort(),
  };
}

/** The device-mapper name of a block device such as `dm-0`; the kernel's own name for others. */
export function deviceMapperName(block: string): string {
  return text(path.join(SYS_BLOCK, block, 'dm', 'name')) ?? block;
}

/**
 * The loops of files below `folder`, as `listLoops` gives them, and what stands on them. sysfs does not say which inode a file is that has no name any more;
 * only when there is one, losetup is asked.
 *
 * @throws `LOOP_FAILED`, `DEPENDENCY_MISSING`
 */
export async function lookForLoops(
  folder: string,
  signal: AbortSignal,
): Promise<{ devices: LoopDevice[]; users: Record<string, readonly string[]> }> {
  const isOurs = (file: string): boolean => file.startsWith(`${folder}/`);
  const loops = seeLoops(isOurs);
  const users = Object.fromEntries(loops.map((loop) => [loop.device, loop.users]));
  const devices: LoopDevice[] = [];
  for (const { device, backingFile, readOnly, autoclear, deleted } of loops) {
    const fileId = deleted ? undefined : await boundFileId(device, backingFile);
    if (fileId === undefined)
      return { devices: (await listLoops(signal)).filter((loop) => isOurs(loop.backingFile)), users };
    devices.push({ device, backingFile, fileId, readOnly, autoclear, deleted });
  }
  return { devices, users };
}

/**
 * Device and inode number of the file that the loop device is bound to, which had this path a moment ago. Undefined when
 * the path leads to another file now: the kernel then shows another path, or that the file was deleted.
 */
export async function boundFileId(device: string, backingFile: string): Promise<string | undefined> {
  const fileId = await fileIdOf(backingFile).catch(() => undefined);
  const still = text(path.join(SYS_BLOCK, path.basename(device), 'loop', 'backing_file'));
  return still === backingFile ? fileId : undefined;
}

/** Content of a file of sysfs without its line end; undefined when the device, or the file, went away. */
export function text(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8').trimEnd();
  } catch {
    return undefined;
  }
}

/** Names in a folder of sysfs; none when the device went away. */
export function names(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}
