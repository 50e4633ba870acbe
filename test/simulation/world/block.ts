import { errno, type FileNode, type FileSystem } from './file-system.ts';

/** What a device-mapper snapshot keeps in its copy-on-write file. */
export interface CowModel extends Record<string, unknown> {
  /** The kernel has made an exception store of the file. */
  used: boolean;
  /** False once it could not be written. */
  valid: boolean;
  /** What the guest wrote, by name of the file; what is absent is the origin's. */
  written: Record<string, number>;
}

export interface Loop {
  number: number;
  file: FileNode;
  /** Where the file was when it lost its name. */
  lastPath: string;
  readOnly: boolean;
  autoclear: boolean;
}

export interface DmDevice {
  name: string;
  uuid: string;
  minor: number;
  sectors: number;
  table: string[];
  /** Names of block devices that it stands on: `loopN`, `dm-N`. */
  slaves: string[];
  /** How many have it open, other devices left out. */
  opened: number;
}

const SECTOR = 512;

/** Loop devices and device-mapper of the host's kernel, as far as losetup, dmsetup and sysfs show them. */
export class BlockDevices {
  readonly loops = new Map<number, Loop>();
  readonly devices = new Map<string, DmDevice>();
  readonly #files: FileSystem;
  #minors = 0;

  constructor(files: FileSystem) {
    this.#files = files;
  }

  bindLoop(path: string, readOnly: boolean): number {
    let number = 0;
    while (this.loops.has(number)) number += 1;
    const file = this.#files.file(path);
    this.loops.set(number, { number, file, lastPath: path, readOnly, autoclear: false });
    return number;
  }

  /** As `losetup --detach`: one that is in use goes at its last close. @returns false when it is not bound */
  detachLoop(number: number): boolean {
    const loop = this.loops.get(number);
    if (!loop) return false;
    if (this.usersOf(`loop${number}`).length > 0) loop.autoclear = true;
    else this.loops.delete(number);
    return true;
  }

  /** Path that the kernel shows, and whether the file has lost its name. */
  backingFile(loop: Loop): { path: string; deleted: boolean } {
    const path = this.#files.pathOf(loop.file);
    if (path !== undefined) loop.lastPath = path;
    return { path: loop.lastPath, deleted: path === undefined };
  }

  /** Devices that stand on a block device. */
  usersOf(block: string): DmDevice[] {
    return [...this.devices.values()].filter(({ slaves }) => slaves.includes(block));
  }

  /** Makes a device from the lines of a table. @throws EBUSY when the name is taken, ENXIO for a device that is not there */
  createDevice(name: string, table: string, uuid: string): void {
    if (this.devices.has(name)) throw errno('EBUSY', name);
    const lines = table.trim().split('\n');
    const slaves = lines.flatMap((line) =>
      [...line.matchAll(/\/dev\/\S+/g)].map(([node]) => this.#blockOf(node)),
    );
    const sectors = lines.reduce((sum, line) => sum + Number(line.split(' ')[1]), 0);
    const device = { name, uuid, minor: this.#minors++, sectors, table: lines, slaves, opened: 0 };
    this.devices.set(name, device);
    const cow = this.cowOf(name);
    if (!cow) return;
    const model = (cow.model ?? { valid: true, written: {} }) as CowModel;
    this.#files.write(cow, { model: { ...model, used: true } });
  }

  /** @throws EBUSY while somebody has it open, ENXIO */
  removeDevice(name: string): void {
    const device = this.devices.get(name);
    if (!device) throw errno('ENXIO', name);
    if (device.opened > 0 || this.usersOf(`dm-${device.minor}`).length > 0) throw errno('EBUSY', name);
    this.devices.delete(name);
    for (const loop of [...this.loops.values()])
      if (loop.autoclear && this.usersOf(`loop${loop.number}`).length === 0) this.loops.delete(loop.number);
  }

  /** The copy-on-write file of a snapshot device. */
  cowOf(name: string): FileNode | undefined {
    const [, cow] =
      /snapshot \S+ \/dev\/(loop\d+) /.exec(this.devices.get(name)?.table.join('\n') ?? '') ?? [];
    return cow ? this.loops.get(Number(cow.slice(4)))?.file : undefined;
  }

  /** The image that a device stands on, whether it was made longer or not. */
  #imageOf(name: string): FileNode | undefined {
    for (const slave of this.devices.get(name)?.slaves ?? []) {
      const loop = slave.startsWith('loop') ? this.loops.get(Number(slave.slice(4))) : undefined;
      if (loop?.readOnly) return loop.file;
      const below = [...this.devices.values()].find(({ minor }) => slave === `dm-${minor}`);
      const image = below && this.#imageOf(below.name);
      if (image) return image;
    }
    return undefined;
  }

  /** What is on the disk, by name of the file: what its guest wrote, and of the rest what the image has. */
  contentOf(name: string): CowModel['written'] {
    const [image, cow] = [this.#imageOf(name), this.cowOf(name)];
    return {
      ...(image?.model as CowModel | undefined)?.written,
      ...(cow?.model as CowModel | undefined)?.written,
    };
  }

  /** Copies a whole device into a file, and waits for the disk. @throws ENXIO, ENOENT */
  copyOut(name: string, path: string): void {
    const device = this.devices.get(name);
    if (!device) throw errno('ENXIO', name);
    const file = this.#files.create(path);
    this.#files.write(file, { bytes: device.sectors * SECTOR, model: { written: this.contentOf(name) } });
    this.#files.sync(file);
  }

  /** `(condition of) the snapshot`, as `dmsetup status` shows it. */
  status(name: string): string | undefined {
    const device = this.devices.get(name);
    const cow = this.cowOf(name);
    if (!device || !cow) return undefined;
    const { valid } = (cow.model ?? {}) as CowModel;
    return `0 ${device.sectors} snapshot ${valid ? `16/${Math.floor(cow.bytes / SECTOR)} 16` : 'Invalid'}`;
  }

  losePower(): void {
    this.loops.clear();
    this.devices.clear();
  }

  #blockOf(node: string): string {
    if (node.startsWith('/dev/mapper/')) {
      const device = this.devices.get(node.slice('/dev/mapper/'.length));
      if (!device) throw errno('ENXIO', node);
      return `dm-${device.minor}`;
    }
    const block = node.slice('/dev/'.length);
    if (!this.loops.has(Number(block.slice(4)))) throw errno('ENXIO', node);
    return block;
  }
}
