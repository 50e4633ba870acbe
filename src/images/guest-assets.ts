import { createHash, randomUUID } from 'node:crypto';
import { constants } from 'node:fs';
import { access, copyFile, mkdir, readFile, rename, rm } from 'node:fs/promises';
import path from 'node:path';
import { fileError, makeFolder, syncFolder, syncPath } from '../durable-file.ts';
import { DormouseError } from '../errors/index.ts';

const KERNEL = 'vmlinux';
const INITRD = 'initrd.cpio';
/** Written last by the set-up; names the hash of the two files. */
const MANIFEST = 'manifest.json';

export interface GuestAssets {
  /** Guest kernel, an uncompressed ELF file. */
  kernelPath: string;
  /** Initramfs with the guest kit as its /init. */
  initrdPath: string;
}

/**
 * Makes sure that the data directory has the guest kernel and initramfs, in a folder that is named after their content.
 * A saved machine is loaded with the files that it was booted with, so a newer pair stands beside the older ones and
 * replaces none.
 *
 * @param fromDir folder that the set-up filled
 * @param kernelDir the data directory's folder for kernels
 * @throws `DEPENDENCY_MISSING` when the set-up did not make the files, or was making them; `DISK_FULL`,
 * `DATA_DIR_UNWRITABLE`
 */
export async function installGuestAssets(fromDir: string, kernelDir: string): Promise<GuestAssets> {
  const hash = await expectedHash(fromDir);
  const target = path.join(kernelDir, hash);
  const assets = { kernelPath: path.join(target, KERNEL), initrdPath: path.join(target, INITRD) };
  if (await exists(target)) return assets;

  await makeFolder(kernelDir);
  const temporary = path.join(kernelDir, `.${randomUUID()}.tmp`);
  try {
    await mkdir(temporary).catch((error: unknown) => {
      throw fileError(temporary, error);
    });
    const copied = createHash('sha256');
    for (const name of [KERNEL, INITRD]) {
      const copy = path.join(temporary, name);
      await copyAsset(path.join(fromDir, name), copy);
      copied.update(await readFile(copy));
    }
    // The set-up may have replaced one of the files meanwhile.
    if (copied.digest('hex') !== hash) throw notReady(fromDir);
    await syncPath(temporary);
    await rename(temporary, target).catch(async (error: unknown) => {
      // Another process installed the same files first.
      if (!(await exists(target))) throw fileError(target, error);
    });
    await syncFolder(kernelDir);
  } finally {
    await rm(temporary, { recursive: true, force: true });
  }
  return assets;
}

async function expectedHash(fromDir: string): Promise<string> {
  try {
    const manifest: unknown = JSON.parse(await readFile(path.join(fromDir, MANIFEST), 'utf8'));
    const { hash } = manifest as { hash?: unknown };
    if (typeof hash === 'string' && /^[0-9a-f]{64}$/.test(hash)) return hash;
  } catch (error) {
    throw notReady(fromDir, error);
  }
  throw notReady(fromDir);
}

async function copyAsset(from: string, to: string): Promise<void> {
  if (!(await exists(from))) throw notReady(path.dirname(from));
  try {
    await copyFile(from, to, constants.COPYFILE_FICLONE);
    await syncPath(to);
  } catch (error) {
    throw fileError(to, error);
  }
}

function notReady(fromDir: string, cause?: unknown): DormouseError {
  return new DormouseError(
    'DEPENDENCY_MISSING',
    `The guest kernel and initramfs are not in ${fromDir}. Run: npm run setup`,
    { cause },
  );
}

async function exists(file: string): Promise<boolean> {
  return access(file).then(
    () => true,
    () => false,
  );
}
