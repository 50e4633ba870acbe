import { readdir, realpath } from 'node:fs/promises';
import path from 'node:path';
import type { DiskDriver } from '../../drivers/disk/types.ts';
import { seeLoops } from '../../drivers/loop/look.ts';
import { isSandboxId } from '../../ids.ts';

/**
 * Says who needs an image to stay as it is: disks that have it as their origin, of sandboxes that run or are paused and of saved
 * machines, and loop devices that are bound to it. An image that somebody needs must not be changed by a single byte.
 *
 * @param disk knows which image a disk stands on
 * @param sandboxes folder of the sandboxes, `<id>/{live,snapshot}`
 * @param templates folder of the templates, `<name>/warm…/<shape>`
 */
export function imageUsers(
  disk: Pick<DiskDriver, 'imageOf'>,
  { sandboxes, templates }: { sandboxes: string; templates: string },
): (imagePath: string) => Promise<string[]> {
  return async (image) => {
    const imagePath = await realpath(image).catch(() => image);
    const disks: Array<{ who: string; dir: string }> = [];
    for (const id of (await folders(sandboxes)).filter(isSandboxId))
      for (const name of ['live', 'snapshot']) disks.push({ who: id, dir: path.join(sandboxes, id, name) });
    for (const template of await folders(templates))
      for (const warm of (await folders(path.join(templates, template))).filter((name) => /^warm/.test(name)))
        for (const shape of await folders(path.join(templates, template, warm)))
          disks.push({
            who: `the saved machine ${template} ${shape}`,
            dir: path.join(templates, template, warm, shape),
          });
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
}

async function folders(root: string): Promise<string[]> {
  return await readdir(root).catch(() => []);
}
