import type { Clock } from '../../../clock.ts';
import type { Exclusive } from '../types.ts';

/** The shared read-only loop devices of images, as the driver needs them: the host's loop registry. */
export interface Origins {
  /**
   * Makes sure that the image has a read-only loop device and that `holder`, a device-mapper name, holds it. Returns the
   * loop's path. Throws `LOOP_FAILED`, `DEVICE_BUSY`; then nothing is held.
   */
  acquire(image: string, holder: string, signal: AbortSignal): Promise<string>;
  /** Makes sure that `holder` holds no loop device of any image. Throws `DEVICE_BUSY` when it still stands on one. */
  release(holder: string, signal: AbortSignal): Promise<void>;
  /** Whether the loop device is one of this host's images, as of the last look. */
  has(loop: string): boolean;
}

/** What the driver works through. */
export interface DeviceMapperPorts {
  /** The host's lane: every command that changes devices runs in it, one at a time. */
  lane: Exclusive;
  origins: Origins;
  clock: Clock;
  /** Checks the file system on a device that nobody else uses, and copies what it uses to a new file. False when there is none. */
  copyFileSystem(fromPath: string, toPath: string, signal: AbortSignal): Promise<boolean>;
  /** Checks the file system in an image that nobody else uses, and makes it and its file as small as they go. */
  shrink(imagePath: string, signal: AbortSignal): Promise<unknown>;
}
