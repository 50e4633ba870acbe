import { CHUNK_SECTORS } from './cow-size.ts';
import { uuidOf } from './names.ts';

/**
 * Tables of the device-mapper targets that are used, and what their status says. Documentation/admin-guide/device-mapper/
 * {linear,zero,snapshot}.rst of Linux. All numbers are sectors of 512 bytes.
 */

/** An origin that is longer than its image: the image, then zeros. */
export function grownOriginTable(imageDevice: string, imageSectors: number, sectors: number): string {
  return `0 ${imageSectors} linear ${imageDevice} 0\n${imageSectors} ${sectors - imageSectors} zero\n`;
}

/**
 * The disk: what was written is in the copy-on-write device, everything else in the origin. `PO`: persistent, and should the copy-on-write
 * device overflow all the same (it is made so large that it cannot), what was written before stays readable.
 */
export function snapshotTable(originDevice: string, cowDevice: string, sectors: number): string {
  return `0 ${sectors} snapshot ${originDevice} ${cowDevice} PO ${CHUNK_SECTORS}\n`;
}

/** What the kernel says of a snapshot. */
export type SnapshotStatus =
  | {
      condition: 'valid';
      /** Of the copy-on-write device: taken, in all, and taken by metadata. */
      allocatedSectors: number;
      totalSectors: number;
      metadataSectors: number;
    }
  | { condition: 'Invalid' | 'Overflow' | 'Merge failed' };

/**
 * Names of the devices that have neither an active table nor one that is to become it, with the UUID that we give to a device of
 * that name. Reads lines of `dmsetup info` with the columns name, UUID and tables, between slashes: no name has one in it.
 */
export function parseWithoutTable(text: string): string[] {
  return text.split('\n').flatMap((line) => {
    const [, name = '', uuid] = /^([^/]+)\/(.*)\/None$/.exec(line) ?? [];
    return uuid === uuidOf(name) ? [name] : [];
  });
}

/**
 * Reads lines of `dmsetup status`: `name: 0 524288 snapshot 16/131072 16`, or a word in place of the numbers when the
 * snapshot cannot be used any more. The name is left out when one device was asked for. Lines of other targets are left out.
 */
export function parseStatus(text: string): Map<string, SnapshotStatus> {
  const found = new Map<string, SnapshotStatus>();
  for (const line of text.split('\n')) {
    const [, name = '', rest = ''] = /^(?:(.+): )?\d+ \d+ snapshot (.*?)\s*$/.exec(line) ?? [];
    const [, allocated, total, metadata] = /^(\d+)\/(\d+) (\d+)$/.exec(rest) ?? [];
    if (total !== undefined)
      found.set(name, {
        condition: 'valid',
        allocatedSectors: Number(allocated),
        totalSectors: Number(total),
        metadataSectors: Number(metadata),
      });
    else if (rest === 'Invalid' || rest === 'Overflow' || rest === 'Merge failed')
      found.set(name, { condition: rest });
  }
  return found;
}
