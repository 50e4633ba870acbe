import { readdir, realpath } from 'node:fs/promises';
import path from 'node:path';
import type { DiskDriver } from '../../drivers/disk/types.ts';
import { seeLoops } from '../../drivers/loop/look.ts';
import { isSandboxId } from '../../ids.ts';
import type { Paths } from '../../paths.ts';
import { SNAPSHOT_FOLDER } from './template.ts';
import { readTemplateFile } from './template-file.ts';

/**
 * Says who needs an image to stay as it is, in words. `but`: a folder whose disks do not count, for whoever removes them along
 * with the image.
 */
export type ImageUsers = (imagePath: string, options?: { but?: string }) => Promise<string[]>;

/**
 * Those who need an image are the disks that have it as their origin, of sandboxes that run or are paused, of saved machines and of
 * copies of sandboxes, and loop devices that are bound to it. An image that somebody needs must not be changed by a single
 * byte.
 *
 * @param disk knows which image a disk stands on
 */
export function imageUsers(
  disk: Pick<DiskDriver, 'imageOf'>,
  paths: Pick<Paths, 'sandboxes' | 'templates' | 'captures'>,
): ImageUsers {
  return async (image, { but } = {}) => {
    const imagePath = await realpath(image).catch(() => image);
    const look = async (): Promise<string[]> => {
      const disks = (await allDisks(paths)).filter(({ dir }) => !but || !dir.startsWith(`${but}/`));
      const users = await Promise.all(
        disks.map(async ({ who, dir }) => {
          // A record that cannot be read may name this image: better an image too many that stays as it is.
          const origin = await disk.imageOf(dir).catch(() => imagePath);
          return origin === imagePath ? [who] : [];
        }),
      );
      const loops = seeLoops((file) => file === imagePath).map(({ device }) => device);
      return [...new Set([...users.flat(), ...loops])];
    };
    const users = await look();
    // A disk that was moved meanwhile, as by a restart of a paused sandbox, was in neither of its folders.
    return users.length > 0 ? users : await look();
  };
}

interface Disk {
  /** Whose it is, for a person. */
  who: string;
  dir: string;
}

async function allDisks(paths: Pick<Paths, 'sandboxes' | 'templates' | 'captures'>): Promise<Disk[]> {
  const disks: Disk[] = [];
  for (const id of (await namesIn(paths.sandboxes)).filter(isSandboxId))
    for (const name of ['live', 'snapshot'])
      disks.push({ who: id, dir: path.join(paths.sandboxes, id, name) });
  for (const capture of await namesIn(paths.captures))
    disks.push({ who: `the copy ${capture} of a sandbox`, dir: path.join(paths.captures, capture) });
  for (const folder of await namesIn(paths.templates))
    disks.push(...(await disksOfTemplate(path.join(paths.templates, folder))));
  return disks;
}

/** `<template>/{snapshot,warm…/<shape>}` */
async function disksOfTemplate(dir: string): Promise<Disk[]> {
  const name = (await readTemplateFile(dir))?.name ?? path.basename(dir);
  const disks: Disk[] = [];
  for (const folder of await namesIn(dir)) {
    if (folder === SNAPSHOT_FOLDER) disks.push({ who: `the template ${name}`, dir: path.join(dir, folder) });
    if (!folder.startsWith('warm')) continue;
    for (const shape of await namesIn(path.join(dir, folder)))
      disks.push({ who: `the saved machine ${name} ${shape}`, dir: path.join(dir, folder, shape) });
  }
  return disks;
}

async function namesIn(folder: string): Promise<string[]> {
  return await readdir(folder).catch(() => []);
}
