import { access, readdir, readFile, rm, stat } from 'node:fs/promises';
import path from 'node:path';
import type { DiskDriver } from '../../drivers/disk/types.ts';
import { makeFolder, renameDurably, writeFileDurably } from '../../durable-file.ts';
import { DormouseError } from '../../errors/index.ts';
import type { SandboxContext, SandboxSource } from '../sandbox/context.ts';
import { readMeta } from '../sandbox/snapshot-meta.ts';
import type { TemplateInfo } from './protocol.ts';

/** What a host keeps of a template: the image, and saved machines of it, one for each shape. */
export interface Template {
  name: string;
  imagePath: string;
  /** Size of the image file, which no disk can be smaller than, in MiB. Measured, since images are expanded. */
  sizeMb: number;
}

/** Numbers of vCPUs and MiB that a saved machine has; it can only be cloned to the same. */
export interface Shape {
  vcpus: number;
  memoryMb: number;
}

const IMAGE_FILE = 'rootfs.ext4';
const TEMPLATE_FILE = 'template.json';
const BYTES_PER_MB = 2 ** 20;
const exists = (file: string): Promise<boolean> =>
  access(file).then(
    () => true,
    () => false,
  );

/** The templates of a host, in one folder: `<name>/{rootfs.ext4, template.json, warm/<vcpus>x<memory>/}`. */
export class Templates {
  readonly #root: string;
  readonly #warmFolder: string;
  readonly #known = new Map<string, Template & { warm: Map<string, number> }>();

  /**
   * @param root folder of the templates
   * @param diskKind kind of the disks that are made: a saved machine of another kind would give its kind to its clones
   */
  constructor(root: string, diskKind: DiskDriver['kind'] = 'reflink') {
    this.#root = root;
    this.#warmFolder = diskKind === 'reflink' ? 'warm' : `warm-${diskKind}`;
  }

  /** Reads what is there. Folders that are not complete are left alone and not offered. */
  async load(): Promise<void> {
    await makeFolder(this.#root);
    for (const name of await readdir(this.#root)) {
      const imagePath = path.join(this.#root, name, IMAGE_FILE);
      if (!(await isComplete(path.join(this.#root, name, TEMPLATE_FILE)))) continue;
      const sizeMb = await measureMb(imagePath).catch(() => undefined);
      if (sizeMb === undefined) continue;
      const warm = new Map<string, number>();
      for (const key of await readdir(this.#warmRoot(name)).catch(() => [])) {
        const meta = await readMeta(path.join(this.#warmRoot(name), key)).catch(() => undefined);
        if (meta) warm.set(key, meta.disk_size_mb);
      }
      this.#known.set(name, { name, imagePath, sizeMb, warm });
    }
  }

  /**
   * Makes sure that the template is there; `build` writes its image when it is not.
   *
   * @param sizeMb size that the image is built with, in MiB, for the template's description
   */
  async ensure(name: string, sizeMb: number, build: (imagePath: string) => Promise<void>): Promise<Template> {
    const known = this.#known.get(name);
    if (known) return known;
    const folder = path.join(this.#root, name);
    const imagePath = path.join(folder, IMAGE_FILE);
    await makeFolder(folder);
    if (!(await exists(imagePath))) await build(imagePath);
    await writeFileDurably(
      path.join(folder, TEMPLATE_FILE),
      JSON.stringify({ v: 1, name, size_mb: sizeMb }),
      0o600,
    );
    const template = {
      name,
      imagePath,
      sizeMb: await measureMb(imagePath),
      warm: new Map<string, number>(),
    };
    this.#known.set(name, template);
    return template;
  }

  /** The images, for what changes them before the host starts. `refresh` has to follow. */
  images(): Array<Pick<Template, 'name' | 'imagePath'>> {
    return [...this.#known.values()].map(({ name, imagePath }) => ({ name, imagePath }));
  }

  /** Measures the images again. A template whose image is gone is no longer offered. */
  async refresh(): Promise<void> {
    for (const template of this.#known.values()) {
      const sizeMb = await measureMb(template.imagePath).catch(() => undefined);
      if (sizeMb === undefined) this.#known.delete(template.name);
      else template.sizeMb = sizeMb;
    }
  }

  /** Throws `TEMPLATE_NOT_FOUND`, with the names that there are. */
  get(name: string): Template {
    const template = this.#known.get(name);
    if (!template)
      throw new DormouseError(
        'TEMPLATE_NOT_FOUND',
        `There is no template "${name}". There are: ${[...this.#known.keys()].join(', ') || 'none'}.`,
        { data: { template: name } },
      );
    return template;
  }

  /** Where a sandbox of these sizes starts: a saved machine of its shape whose disk is not larger, else the image. */
  sourceOf(options: SandboxContext['options']): SandboxSource {
    const { name, imagePath } = this.get(options.template);
    const key = shapeKey({ vcpus: options.vcpus, memoryMb: options.memory_mb });
    const savedMb = this.#known.get(name)?.warm.get(key);
    if (savedMb !== undefined && savedMb <= options.disk_size_mb)
      return { kind: 'snapshot', dir: path.join(this.#warmRoot(name), key) };
    return { kind: 'image', imagePath };
  }

  hasWarm(name: string, shape: Shape): boolean {
    return this.#known.get(name)?.warm.has(shapeKey(shape)) ?? false;
  }

  /** How many saved machines there are of the template. */
  warmCount(name: string): number {
    return this.#known.get(name)?.warm.size ?? 0;
  }

  /** Keeps a snapshot directory as the template's saved machine of that shape. It is moved. */
  async keepWarm(name: string, shape: Shape, diskSizeMb: number, snapshotDir: string): Promise<void> {
    const key = shapeKey(shape);
    const target = path.join(this.#warmRoot(name), key);
    await makeFolder(this.#warmRoot(name));
    await rm(target, { recursive: true, force: true });
    await renameDurably(snapshotDir, target);
    this.#known.get(name)?.warm.set(key, diskSizeMb);
  }

  /** For the host directory. */
  async describe(): Promise<TemplateInfo[]> {
    return await Promise.all(
      [...this.#known.values()].map(async ({ name, imagePath, sizeMb, warm }) => ({
        name,
        size_mb: sizeMb,
        allocated_bytes: (await stat(imagePath)).blocks * 512,
        warm: [...warm].map(([key, diskMb]) => `${key}x${diskMb}`),
      })),
    );
  }

  #warmRoot(name: string): string {
    return path.join(this.#root, name, this.#warmFolder);
  }
}

/** Whether the description of a template is there and whole. It is written last. */
async function isComplete(descriptionFile: string): Promise<boolean> {
  try {
    const { size_mb: sizeMb } = JSON.parse(await readFile(descriptionFile, 'utf8'));
    return Number.isInteger(sizeMb);
  } catch {
    return false;
  }
}

/** Size of the image file in MiB, rounded up. Throws the error of the file system. */
async function measureMb(imagePath: string): Promise<number> {
  return Math.ceil((await stat(imagePath)).size / BYTES_PER_MB);
}

function shapeKey({ vcpus, memoryMb }: Shape): string {
  return `${vcpus}x${memoryMb}`;
}
