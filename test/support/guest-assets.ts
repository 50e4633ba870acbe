import { access } from 'node:fs/promises';
import path from 'node:path';

const FOLDER = path.join(import.meta.dirname, '..', '..', '.cache', 'guest');

export interface TestGuestAssets {
  kernelPath: string;
  initrdPath: string;
}

/** The guest kernel and initramfs that the set-up made. Throws, saying what to do, when it was not run. */
export async function guestAssets(): Promise<TestGuestAssets> {
  const assets = {
    kernelPath: path.join(FOLDER, 'vmlinux'),
    initrdPath: path.join(FOLDER, 'initrd.cpio'),
  };
  for (const file of Object.values(assets))
    await access(file).catch((cause: unknown) => {
      throw new Error(`${file} is missing. Run: npm run setup`, { cause });
    });
  return assets;
}
