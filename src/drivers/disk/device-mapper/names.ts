import { isSandboxId } from '../../../ids.ts';

/**
 * How devices are named. A sandbox has at most one device at a time, `dormouse-<sandbox>`, and two more for some disks:
 *
 * - `…-origin`: the image made longer by zeros, when the disk is larger than its image;
 * - `…-flat`, `…-flat-origin`: the same again for the time in which the disk is flattened.
 *
 * The name is what everything is found by after a crash. The UUID says to udev's rules that these are ours: what a guest
 * wrote must not be looked at by the host (docs/device-mapper.md).
 */
const PREFIX = 'dormouse-';
const UUID_PREFIX = 'DORMOUSE-';
const ORIGIN = '-origin';
const FLAT = '-flat';

/** The device of a sandbox's disk. */
export function deviceName(sandboxId: string): string {
  return `${PREFIX}${sandboxId}`;
}

/** The device for reading a sandbox's disk while it is flattened. */
export function flatteningName(sandboxId: string): string {
  return `${deviceName(sandboxId)}${FLAT}`;
}

/** The device that makes the origin of `device` longer. */
export function originName(device: string): string {
  return `${device}${ORIGIN}`;
}

/** UUID of a device, which dmsetup(8) sets when it is made. */
export function uuidOf(device: string): string {
  return `${UUID_PREFIX}${device.slice(PREFIX.length)}`;
}

/** Where udev or libdevmapper put the device. */
export function nodeOf(device: string): string {
  return `/dev/mapper/${device}`;
}

/** Whose device it is, and whether it is there only while the disk is flattened; undefined when the name is none of ours. */
export function ownerOf(device: string): { sandboxId: string; temporary: boolean } | undefined {
  if (!device.startsWith(PREFIX)) return undefined;
  const [, sandboxId = '', rest = ''] =
    /^(.*?)((?:-flat)?(?:-origin)?)$/.exec(device.slice(PREFIX.length)) ?? [];
  return isSandboxId(sandboxId) ? { sandboxId, temporary: rest.startsWith(FLAT) } : undefined;
}
