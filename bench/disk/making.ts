import { mkdir, readdir, rm, stat, statfs } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { execa } from 'execa';
import type { DiskRef } from '../../src/drivers/disk/index.ts';
import type { DiskHost } from './host.ts';
import type { MeasureSettings } from './settings.ts';

/** Disks from one image, in three ways. */
export const WAYS = ['device-mapper', 'reflink', 'copy'] as const;
export type DiskWay = (typeof WAYS)[number];

/** What it took to make some disks, once. */
export interface Made {
  way: DiskWay;
  disks: number;
  /** Until the last one was made, one after the other. */
  ms: number;
  /** And until everything was on the file system's disk. */
  syncedMs: number;
  /** Space that the disks' own files take, in bytes: `blocks * 512`. A clone counts what it shares in full. */
  ownBytes: number;
  /** Space that the file system has less than before, in bytes. */
  storeBytes: number;
}

/** How long the file system may take to give back what was deleted, in milliseconds, and how often it is asked. */
const SETTLE_LIMIT_MS = 20_000;
const SETTLE_MS = 200;

/** How a disk is made so that a virtual machine monitor can open it, and how it is removed. */
interface Maker {
  make(disk: DiskRef): Promise<void>;
  remove(disk: DiskRef): Promise<void>;
}

/** Makes disks in turns: for each number of them, each way. Calls `made` with each figure. */
export async function measureMaking(
  host: DiskHost,
  { rounds, disks, copies }: MeasureSettings,
  made: (figure: Made) => void,
  progress: (what: string) => void,
  signal: AbortSignal,
): Promise<void> {
  const makers = makersOf(host, signal);
  // The first one of each way finds no program and no file in the caches.
  for (const way of WAYS) await makeSome(host, way, makers[way], 1);
  for (let round = 0; round < rounds; round += 1) {
    for (const count of disks) {
      for (const way of turned(WAYS, round)) {
        if (way === 'copy' && count > copies) continue;
        signal.throwIfAborted();
        progress(`round ${round + 1} of ${rounds}: ${count} × ${way}`);
        made(await makeSome(host, way, makers[way], count));
      }
    }
  }
}

function makersOf({ imagePath, imageMb, deviceMapper, reflink }: DiskHost, signal: AbortSignal) {
  return {
    'device-mapper': {
      async make(disk) {
        await deviceMapper.create({ ...disk, imagePath, sizeMb: imageMb }, signal);
        await deviceMapper.attach(disk, signal);
      },
      remove: (disk) => deviceMapper.remove(disk, signal),
    },
    reflink: {
      async make(disk) {
        await reflink.create({ ...disk, imagePath, sizeMb: imageMb }, signal);
        await reflink.attach(disk, signal);
      },
      remove: (disk) => reflink.remove(disk, signal),
    },
    // As the drivers do it where a file system has no reflinks.
    copy: {
      async make({ dir }) {
        await mkdir(dir);
        await execa('cp', ['--sparse=always', '--reflink=never', '--', imagePath, path.join(dir, 'disk')], {
          cancelSignal: signal,
        });
      },
      async remove() {},
    },
  } satisfies Record<DiskWay, Maker>;
}

async function makeSome(host: DiskHost, way: DiskWay, maker: Maker, count: number): Promise<Made> {
  const disks = Array.from({ length: count }, () => host.disk());
  const freeBefore = await settledFree(host.dir);
  const startedMs = performance.now();
  for (const disk of disks) await maker.make(disk);
  const ms = performance.now() - startedMs;
  await sync(host.dir);
  const syncedMs = performance.now() - startedMs;
  const storeBytes = freeBefore - (await free(host.dir));
  const ownBytes = (await Promise.all(disks.map(({ dir }) => bytesIn(dir)))).reduce((sum, one) => sum + one);
  for (const disk of disks) {
    await maker.remove(disk);
    await rm(disk.dir, { recursive: true });
  }
  return { way, disks: count, ms, syncedMs, ownBytes, storeBytes };
}

/** The space of the files in a folder, in bytes, without the folder. */
async function bytesIn(dir: string): Promise<number> {
  let bytes = 0;
  for (const name of await readdir(dir)) bytes += (await stat(path.join(dir, name))).blocks * 512;
  return bytes;
}

async function sync(dir: string): Promise<void> {
  await execa('sync', ['--file-system', dir]);
}

/** Free space on the file system of the folder, in bytes. */
async function free(dir: string): Promise<number> {
  const { bfree, bsize } = await statfs(dir);
  return bfree * bsize;
}

/** The same when it does not change any more: XFS gives back what was deleted in the background. */
async function settledFree(dir: string): Promise<number> {
  const deadline = performance.now() + SETTLE_LIMIT_MS;
  await sync(dir);
  for (let before = await free(dir); ; ) {
    await sleep(SETTLE_MS);
    const now = await free(dir);
    if (now === before || performance.now() > deadline) return now;
    before = now;
  }
}

/** The list from another place on each time, so that none always comes first. */
export function turned<T>(list: readonly T[], by: number): T[] {
  return list.map((_, index) => list[(index + by) % list.length] as T);
}
