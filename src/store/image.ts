import { open, readFile, realpath, rename, rm, stat } from 'node:fs/promises';
import path from 'node:path';
import { ExecaError, execa } from 'execa';
import { diskError } from '../drivers/disk/files.ts';
import { deviceNumber } from '../drivers/loop/device-number.ts';
import { syncFolder, syncPath } from '../durable-file.ts';
import { DormouseError, messageOf } from '../errors/index.ts';
import type { Paths } from '../paths.ts';

/**
 * The store as a file system of its own: a sparse file with XFS, mounted through a loop device that the kernel frees by
 * itself at unmount (`mount -o loop` sets LO_FLAGS_AUTOCLEAR). The loop is writable and its file lies outside the
 * store, so it is never taken for one of the shared read-only loops of images.
 */

const BYTES_PER_MB = 2 ** 20;

/**
 * `discard` gives the blocks of deleted files back to the file system under the image, which otherwise only grows.
 * XFS does it after the deletion has been committed, in the background.
 */
const MOUNT_OPTIONS = 'loop,noatime,discard';

/** Makes the image, of `sizeMb` MiB, with no space taken yet. It gets its name when it is whole. Throws `DISK_FULL`, `DISK_FAILED`. */
export async function makeImage(
  { storeImage }: Pick<Paths, 'storeImage'>,
  sizeMb: number,
  signal: AbortSignal,
): Promise<void> {
  const partial = `${storeImage}.partial`;
  try {
    await rm(partial, { force: true });
    const file = await open(partial, 'wx', 0o600);
    try {
      await file.truncate(sizeMb * BYTES_PER_MB);
    } finally {
      await file.close();
    }
    await run('mkfs.xfs', ['-q', '-m', 'reflink=1', partial], signal);
    await syncPath(partial);
    await rename(partial, storeImage);
    await syncFolder(path.dirname(storeImage));
  } catch (error) {
    await rm(partial, { force: true }).catch(() => {});
    if (signal.aborted) throw signal.reason;
    throw diskError(`The store's image ${storeImage} could not be made`, error);
  }
}

/** Mounts the image on the store's folder. Throws `DISK_FAILED` with mount's words. */
export async function mountImage(
  { storeImage, store }: Pick<Paths, 'storeImage' | 'store'>,
  signal: AbortSignal,
): Promise<void> {
  await run('mount', ['-t', 'xfs', '-o', MOUNT_OPTIONS, storeImage, store], signal);
}

/** Unmounts the store's folder. False when somebody still uses a file in it; then it stays mounted. Throws `DISK_FAILED`. */
export async function unmountImage({ store }: Pick<Paths, 'store'>): Promise<boolean> {
  try {
    await run('umount', [store]);
    return true;
  } catch (error) {
    if (messageOf(error).includes('target is busy')) return false;
    throw error;
  }
}

/** What the store's folder is: the image mounted, another file system mounted by somebody else, or a plain folder. */
export async function mountedOn({
  root,
  store,
  storeImage,
}: Pick<Paths, 'root' | 'store' | 'storeImage'>): Promise<'image' | 'other' | 'nothing'> {
  const [above, here] = [await stat(root), await stat(store)];
  if (above.dev === here.dev) return 'nothing';
  const backing = await readFile(`/sys/dev/block/${deviceNumber(here.dev)}/loop/backing_file`, 'utf8').catch(
    () => undefined,
  );
  const image = await realpath(storeImage).catch(() => storeImage);
  return backing?.trimEnd() === image ? 'image' : 'other';
}

async function run(program: string, args: readonly string[], signal?: AbortSignal): Promise<void> {
  try {
    await execa(program, args, {
      all: true,
      env: { LC_ALL: 'C' },
      ...(signal ? { cancelSignal: signal } : {}),
    });
  } catch (error) {
    if (signal?.aborted) throw signal.reason;
    if (!(error instanceof ExecaError)) throw error;
    const output = String(error.all ?? '').trim() || error.originalMessage || error.shortMessage;
    if (output.includes('No space left on device'))
      throw new DormouseError('DISK_FULL', `${program} found no space left: ${output}`, { cause: error });
    throw new DormouseError('DISK_FAILED', `${program} ${args.join(' ')}: ${output}`, {
      data: { command: [program, ...args], output },
      cause: error,
    });
  }
}
