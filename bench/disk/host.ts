import { randomBytes } from 'node:crypto';
import { mkdir, mkdtemp, open, readFile, realpath, rm, statfs, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { execa } from 'execa';
import { Lane } from '../../src/actors/host/lane.ts';
import { LoopRegistry, originsOf } from '../../src/actors/loop-registry/index.ts';
import { systemClock as clock } from '../../src/clock.ts';
import { createDeviceMapperDriver } from '../../src/drivers/disk/device-mapper/index.ts';
import { shareBlocks } from '../../src/drivers/disk/files.ts';
import type { DiskDriver, DiskRef } from '../../src/drivers/disk/index.ts';
import { createReflinkDriver } from '../../src/drivers/disk/reflink/index.ts';
import { newSandboxId } from '../../src/ids.ts';
import { copyFileSystem } from '../../src/images/copy-file-system.ts';
import { shrinkImage } from '../../src/images/sizes.ts';
import { createLogger } from '../../src/log.ts';
import { type MeasureSettings, neededMb } from './settings.ts';

/** As a host has it by default. */
const MAILBOX_SIZE = 64;
const CLOSE_LIMIT_MS = 120_000;
const BYTES_PER_MB = 2 ** 20;
const FILE_MB = 4;

/** The parts of a host that make disks, on a folder of its own. */
export interface DiskHost extends AsyncDisposable {
  dir: string;
  imagePath: string;
  imageMb: number;
  deviceMapper: DiskDriver;
  reflink: DiskDriver;
  registry: LoopRegistry;
  /** A sandbox's folder, with nothing in it. */
  disk(): DiskRef;
}

/**
 * Puts the lane, the loop registry and both drivers together as a host does (src/roles/host-core.ts), and makes the image.
 * Closing it takes all devices away, and the folder.
 */
export async function openHost(
  settings: MeasureSettings,
  progress: (what: string) => void,
  signal: AbortSignal,
): Promise<DiskHost> {
  const { imageMb, dataMb } = settings;
  const parent = await realpath(settings.dir ?? os.tmpdir());
  const dir = await mkdtemp(path.join(parent, 'dm-bench-disk-'));
  const [images, sandboxes] = [path.join(dir, 'images'), path.join(dir, 'sandboxes')];
  let registry: LoopRegistry | undefined;
  const close = async (): Promise<void> => {
    const limit = AbortSignal.timeout(CLOSE_LIMIT_MS);
    if (registry) {
      for (const device of await deviceMapper.list(sandboxes))
        await deviceMapper.clear(device, path.join(sandboxes, device.sandboxId), limit);
      await registry.stop();
    }
    await rm(dir, { recursive: true, force: true });
  };
  const lane = new Lane().run;
  const origins = originsOf(() => {
    if (!registry) throw new Error('the loop registry was not started');
    return registry;
  }, clock);
  const deviceMapper = createDeviceMapperDriver({
    lane,
    origins,
    clock,
    copyFileSystem,
    shrink: shrinkImage,
  });
  try {
    await checkPlace(dir, parent, settings);
    for (const folder of [images, sandboxes]) await mkdir(folder);
    const imagePath = path.join(images, 'rootfs.ext4');
    progress(`making an image of ${imageMb} MiB with ${dataMb} MiB of random data`);
    await makeImage(imagePath, settings, signal);
    registry = await LoopRegistry.start({
      hostId: 'h-bench',
      folder: images,
      lane,
      mailboxSize: MAILBOX_SIZE,
      ports: { clock, log: createLogger('bench', 'silent') },
    });
    return {
      dir,
      imagePath,
      imageMb,
      deviceMapper,
      reflink: createReflinkDriver(),
      registry,
      disk() {
        const sandboxId = newSandboxId();
        return { sandboxId, dir: path.join(sandboxes, sandboxId) };
      },
      [Symbol.asyncDispose]: close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

/** Checks that the folder has reflinks and enough room. */
async function checkPlace(dir: string, parent: string, settings: MeasureSettings): Promise<void> {
  const probe = path.join(dir, 'probe');
  await writeFile(probe, 'shared');
  if (!(await shareBlocks(probe, `${probe}.clone`)))
    throw new Error(`${parent} has no reflinks. Choose a folder on XFS or Btrfs with --dir.`);
  for (const file of [probe, `${probe}.clone`]) await rm(file);
  const { bavail, bsize } = await statfs(dir);
  const freeMb = Math.floor((bavail * bsize) / BYTES_PER_MB);
  if (freeMb < neededMb(settings))
    throw new Error(
      `${parent} has ${freeMb} MiB free; this run takes ${neededMb(settings)}. Make fewer --copies, or less --data-mb.`,
    );
}

/** An ext4 file system in a sparse file, with random data that nothing can share or leave out. */
async function makeImage(
  imagePath: string,
  { imageMb, dataMb }: Pick<MeasureSettings, 'imageMb' | 'dataMb'>,
  signal: AbortSignal,
): Promise<void> {
  const content = `${imagePath}.content`;
  await mkdir(content);
  for (let at = 0; at < dataMb; at += FILE_MB) {
    signal.throwIfAborted();
    const bytes = Math.min(FILE_MB, dataMb - at) * BYTES_PER_MB;
    await writeFile(path.join(content, `data-${at}`), randomBytes(bytes));
  }
  await execa('mke2fs', ['-q', '-F', '-t', 'ext4', '-d', content, imagePath, `${imageMb}M`], {
    cancelSignal: signal,
  });
  await rm(content, { recursive: true });
  // On the disk and in the page cache before anything is measured.
  const file = await open(imagePath, 'r');
  await file.sync();
  await file.close();
  await readFile(imagePath);
}
