import { readdir, stat } from 'node:fs/promises';
import path from 'node:path';
import { DormouseError } from '../../errors/index.ts';
import type { ExecDefaults, KernelFiles, SandboxContext, SandboxSource } from '../sandbox/context.ts';
import { readMeta } from '../sandbox/snapshot-meta.ts';
import { readTemplateFile, type TemplateFile } from './template-file.ts';
import type { TemplateDetails, TemplateInfo } from './template-protocol.ts';

/** One template of a host: what is in its folder, read and measured. */

export const IMAGE_FILE = 'rootfs.ext4';
/** Folder of the saved machine that a template with memory is. */
export const SNAPSHOT_FOLDER = 'snapshot';
const BYTES_PER_MB = 2 ** 20;

/** Numbers of vCPUs and MiB that a saved machine has; it can only be cloned to the same. */
export interface Shape {
  vcpus: number;
  memoryMb: number;
}

/** A machine that was booted and saved: it is loaded with the kernel that it was booted with. */
export interface SavedMachine {
  dir: string;
  diskSizeMb: number;
  kernel: KernelFiles;
}

export interface Template {
  /** Its folder. */
  dir: string;
  file: TemplateFile;
  /** Size in MiB that no disk can be smaller than. */
  sizeMb: number;
  /** The image of one without memory. */
  imagePath: string | undefined;
  /** What one with memory is. */
  saved: SavedMachine | undefined;
  /** Booted states of one without memory, by shape. */
  warm: Map<string, SavedMachine>;
}

/**
 * Reads a template's folder. Undefined when it is not whole.
 *
 * @param warmFolder name of the folder of its booted states
 */
export async function readTemplate(dir: string, warmFolder: string): Promise<Template | undefined> {
  const file = await readTemplateFile(dir);
  return file && (await templateOf(dir, file, warmFolder).catch(() => undefined));
}

/** The template that the folder is when it says this of itself. Throws what reading its parts throws. */
export async function templateOf(dir: string, file: TemplateFile, warmFolder: string): Promise<Template> {
  const warm = new Map<string, SavedMachine>();
  if (file.memory) {
    const saved = await readSaved(path.join(dir, SNAPSHOT_FOLDER));
    return { dir, file, sizeMb: saved.diskSizeMb, imagePath: undefined, saved, warm };
  }
  for (const key of await readdir(path.join(dir, warmFolder)).catch((): string[] => [])) {
    const saved = await readSaved(path.join(dir, warmFolder, key)).catch(() => undefined);
    if (saved) warm.set(key, saved);
  }
  const imagePath = path.join(dir, IMAGE_FILE);
  return { dir, file, sizeMb: await leastDiskMb(file, imagePath), imagePath, saved: undefined, warm };
}

/**
 * Size in MiB that no disk of the template can be smaller than: that of its image, which is measured, since images are expanded. A
 * start command has run on a disk of the template's own size, and every sandbox is a clone of that.
 */
export async function leastDiskMb(file: TemplateFile, imagePath: string): Promise<number> {
  const imageMb = await sizeMbOf(imagePath);
  return file.start_cmd === null ? imageMb : Math.max(imageMb, file.disk_size_mb);
}

/** Size of a file in MiB, rounded up. Throws the error of the file system. */
export async function sizeMbOf(file: string): Promise<number> {
  return Math.ceil((await stat(file)).size / BYTES_PER_MB);
}

/** What the folder says of the machine that is saved in it. Throws `SNAPSHOT_INVALID`. */
export async function readSaved(dir: string): Promise<SavedMachine> {
  const meta = await readMeta(dir);
  return {
    dir,
    diskSizeMb: meta.disk_size_mb,
    kernel: { kernelPath: meta.kernel_path, initrdPath: meta.initrd_path },
  };
}

export function shapeKey({ vcpus, memoryMb }: Shape): string {
  return `${vcpus}x${memoryMb}`;
}

/** The shape of a sandbox that names no sizes. */
export const defaultShape = ({ file }: Template): Shape => ({ vcpus: file.vcpus, memoryMb: file.memory_mb });

/** Size of the disk of a booted state, in MiB: what is created without a wish for another size is a clone of it. */
export const warmDiskMb = ({ file, sizeMb }: Template): number => Math.max(file.disk_size_mb, sizeMb);

/** What a sandbox of the template runs programs with when nothing else is said. */
export function defaultsOf({ file: { user, cwd, env } }: Template): ExecDefaults {
  return { ...(user !== null && { user }), ...(cwd !== null && { cwd }), env };
}

/**
 * Where a sandbox of these sizes starts: in the template's memory; else in a booted state of its shape whose disk is not larger; else
 * from the image.
 */
export function sourceOf(
  template: Template,
  options: SandboxContext['options'],
  kernel: KernelFiles,
): { source: SandboxSource; kernel: KernelFiles } {
  const shape = { vcpus: options.vcpus, memoryMb: options.memory_mb };
  const saved = template.saved ?? template.warm.get(shapeKey(shape));
  if (saved && saved.diskSizeMb <= options.disk_size_mb)
    return { source: { kind: 'snapshot', dir: saved.dir }, kernel: saved.kernel };
  return { source: { kind: 'image', imagePath: template.imagePath ?? '' }, kernel };
}

/** @throws `INVALID_SIZE` when no sandbox of these sizes can be made from the template */
export function checkSizes(template: Template, options: SandboxContext['options']): void {
  const { file, sizeMb } = template;
  if (file.memory && (options.vcpus !== file.vcpus || options.memory_mb !== file.memory_mb))
    throw new DormouseError(
      'INVALID_SIZE',
      `The template "${file.name}" has a memory, which has ${file.vcpus} vCPUs and ${file.memory_mb} MiB; ${options.vcpus} and ${options.memory_mb} were asked for. Leave both out.`,
      {
        data: {
          vcpus: options.vcpus,
          memory_mb: options.memory_mb,
          template_vcpus: file.vcpus,
          template_memory_mb: file.memory_mb,
        },
      },
    );
  if (options.disk_size_mb < sizeMb)
    throw new DormouseError(
      'INVALID_SIZE',
      `disk_size_mb is ${options.disk_size_mb}, but the template "${file.name}" needs at least ${sizeMb}.`,
      { data: { disk_size_mb: options.disk_size_mb, minimum_mb: sizeMb } },
    );
}

/** As it is told in the directory of hosts. */
export async function infoOf(template: Template): Promise<TemplateInfo> {
  const { file, sizeMb, warm, dir } = template;
  return {
    id: file.id,
    team_id: file.team_id,
    name: file.name,
    kind: file.kind,
    memory: file.memory,
    size_mb: sizeMb,
    allocated_bytes: await takenBy(dir),
    vcpus: file.vcpus,
    memory_mb: file.memory_mb,
    disk_size_mb: Math.max(file.disk_size_mb, sizeMb),
    created_at: file.created_at,
    warm: [...warm].map(([key, { diskSizeMb }]) => `${key}x${diskSizeMb}`),
  };
}

/** All of it. */
export async function detailsOf(template: Template, hostId: string): Promise<TemplateDetails> {
  const { user, cwd, env, start_cmd, ready_cmd, source_sandbox_id } = template.file;
  return {
    ...(await infoOf(template)),
    host_id: hostId,
    ...{ user, cwd, env, start_cmd, ready_cmd, source_sandbox_id },
  };
}

/** What the files below the folder take, in bytes: their blocks, not their sizes. Blocks that clones share count for each. */
async function takenBy(dir: string): Promise<number> {
  let bytes = 0;
  for (const name of await readdir(dir).catch((): string[] => [])) {
    const entry = path.join(dir, name);
    const seen = await stat(entry).catch(() => undefined);
    if (seen?.isDirectory()) bytes += await takenBy(entry);
    // stat(2): st_blocks counts units of 512 bytes, whatever the block size of the file system.
    else if (seen) bytes += seen.blocks * 512;
  }
  return bytes;
}
