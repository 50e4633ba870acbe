import type { DormouseError } from '../../errors/index.ts';

/**
 * Disks. A driver keeps a sandbox's disk as one or more files inside a folder (`live/` or `snapshot/`) and can make it
 * a thing that a virtual machine monitor opens. Every operation is idempotent: it makes sure of its result, and doing it
 * again changes nothing.
 *
 * Two drivers share this interface: `reflink` (the disk is a clone of the image, attach does nothing) and `device-mapper`
 * (the folder holds a copy-on-write file, attach makes loop and snapshot devices).
 */

/** Runs `operation` alone, after all that were asked before it. The host actor's lane; device operations go through it. */
export type Exclusive = <T>(
  label: string,
  operation: (signal: AbortSignal) => Promise<T>,
  signal?: AbortSignal,
) => Promise<T>;

/** Where a disk comes from and how large the guest shall see it. */
export interface DiskSpec {
  /** Names the disk: kernel devices and holders carry it. */
  sandboxId: string;
  /** Folder that holds the disk's files. */
  dir: string;
  /** Root file system image (ext4) that the disk starts as. Never written to. */
  imagePath: string;
  /** Size that the guest sees, in MiB (2^20 bytes). At least the image's own size. */
  sizeMb: number;
}

/** The disk of a folder, to be attached, detached or removed. */
export interface DiskRef {
  sandboxId: string;
  dir: string;
}

/** A disk that a virtual machine monitor can open. */
export interface AttachedDisk {
  /** A raw file or a block device. */
  path: string;
}

export interface DiskUsage {
  /** Size that the guest sees, in bytes. */
  sizeBytes: number;
  /** What the disk's own files take on the host, in bytes: `blocks * 512`, never the apparent size. */
  allocatedBytes: number;
  /** What the kernel says of an attached device-mapper disk, in sectors of 512 bytes of its copy-on-write device. */
  snapshot?: { allocatedSectors: number; totalSectors: number; metadataSectors: number };
}

/** A kernel device that was made for a sandbox's disk. */
export interface HeldDevice {
  kind: 'device' | 'loop';
  /** Name of the device-mapper device, or path of the loop device. */
  name: string;
  sandboxId: string;
  /** There only while an operation lasts: after a restart of the host it is left over. */
  temporary: boolean;
  /** That operation lasts. */
  isUsed?: true;
  /** It was never given a table: whoever made it was ended half-way. Nobody can need it. */
  withoutTable?: true;
}

export interface DiskDriver {
  /** What new disks are. */
  readonly kind: 'reflink' | 'device-mapper';

  /** Makes sure that the folder holds a disk made from the image. Throws `DISK_FULL`, `DISK_FAILED`, `INVALID_SIZE`. */
  create(spec: DiskSpec, signal: AbortSignal): Promise<void>;

  /**
   * Makes sure that `toDir` holds a copy of the disk in `fromDir`, constant in time where the file system can. With `sizeMb` it
   * is a disk of that many MiB if that is larger; its guest must be told.
   */
  clone(fromDir: string, toDir: string, signal: AbortSignal, options?: { sizeMb?: number }): Promise<void>;

  /**
   * As `clone`, of a disk that may be attached. Nobody writes to it meanwhile: its machine stands still. Throws `DISK_LOST` when what
   * was written to it is not in its files any more.
   */
  capture(disk: DiskRef, toDir: string, signal: AbortSignal): Promise<void>;

  /** Makes sure that the detached disk in the folder has at least so many MiB; its guest must be told. */
  grow(dir: string, sizeMb: number): Promise<void>;

  /**
   * Makes sure that the disk can be opened. What is attached of this very disk is used; a stale device of the same name is
   * removed first. Throws `DISK_LOST`, `IMAGE_CHANGED`, `DEVICE_BUSY`, `DISK_FAILED`, `LOOP_FAILED`.
   */
  attach(disk: DiskRef, signal: AbortSignal): Promise<AttachedDisk>;

  /**
   * Makes sure that no device of the disk is left. Its files stay. Throws `DEVICE_BUSY` when somebody holds it open: it is
   * attached as before then.
   */
  detach(disk: DiskRef, signal: AbortSignal): Promise<void>;

  /** Makes sure that neither devices nor files of the disk are left. */
  remove(disk: DiskRef, signal: AbortSignal): Promise<void>;

  /**
   * Writes the disk in `dir` as a standalone image to `imagePath`. `sandboxId` names the devices that this takes. The disk must not change meanwhile. Not in the lane.
   */
  flatten(disk: DiskRef, imagePath: string, signal: AbortSignal): Promise<void>;

  /**
   * Waits until the disk in the folder has reached the host's disk: all of a detached one; of one that is attached, what has come as
   * far as its files.
   */
  sync(dir: string): Promise<void>;

  /** Checks that the disk, if it is attached, can still be read and written. Throws `DISK_LOST`. */
  check(disk: DiskRef): Promise<void>;

  /** What the disk takes, measured. Throws `DISK_LOST`. */
  usage(disk: DiskRef): Promise<DiskUsage>;

  /** The image without which the disk in the folder is nothing; undefined when it needs none or there is no disk. */
  imageOf(dir: string): Promise<string | undefined>;

  /** The sandboxes whose attached disks the kernel has given up, with the reason. Throws `DISK_FAILED` when it cannot be asked. */
  lost(): Promise<ReadonlyMap<string, DormouseError>>;

  /**
   * All devices on files below `root` (`<root>/<sandbox id>/…`), by looking at the kernel, and those without a table of sandboxes that
   * have a folder there. It may take a process: it is for those who look for what is left. Throws `DISK_FAILED`,
   * `DEPENDENCY_MISSING`.
   */
  list(root: string): Promise<HeldDevice[]>;

  /** Makes sure that a device of `list` is gone. `dir`: folder of the disk that it may belong to. Throws `DEVICE_BUSY`. */
  clear(device: HeldDevice, dir: string, signal: AbortSignal): Promise<void>;
}
