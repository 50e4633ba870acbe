import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { execa } from 'execa';
import { type Header, pack } from 'tar-stream';
import { systemClock } from '../../../src/clock.ts';
import {
  type BuildRootfsOptions,
  type BuiltRootfs,
  buildRootfs,
  DEFAULT_IMPORT_LIMITS,
  type ImportLimits,
  type ImportProgress,
} from '../../../src/images/import/index.ts';
import { tempFolder } from '../support.ts';

/** Uploads that tests make, and what becomes of them. */

/** Archives are unpacked with the owners of their files. */
export const needsRoot = process.getuid?.() === 0 ? {} : { skip: 'only root can keep owners' };

/** An entry of an archive, perhaps with its content. */
export type Item = Partial<Header> & { name: string; content?: string | Buffer };

/** What every root file system has to have. */
export const SHELL: Item = { name: 'bin/sh', mode: 0o755, content: '#!' };

/** An archive of these entries, in this order, whatever they are. */
export async function tarOf(items: readonly Item[]): Promise<Buffer> {
  const archive = pack();
  for (const { content, ...header } of items) archive.entry(header, content ?? '');
  archive.finalize();
  const pieces: Buffer[] = [];
  for await (const piece of archive) pieces.push(piece as Buffer);
  return Buffer.concat(pieces);
}

export interface Importer {
  folder: string;
  imagePath: string;
  lines: ImportProgress[];
  /** Builds from these bytes, or from the file at this path. */
  build(source: Buffer | string, changes?: Changes): Promise<BuiltRootfs>;
  /** What is there that should not be: in the folder for work, beside the image, and in what is outside of both. */
  left(): Promise<string[]>;
}

interface Changes extends Partial<Omit<BuildRootfsOptions, 'limits'>> {
  limits?: Partial<ImportLimits>;
}

const CANARY = 'nobody may change this';

/** Builds in a folder of its own, where a file stands that no archive may reach. */
export async function importer(t: Parameters<typeof tempFolder>[0]): Promise<Importer> {
  const folder = await tempFolder(t);
  const workDir = path.join(folder, 'work');
  const images = path.join(folder, 'images');
  const imagePath = path.join(images, 'rootfs.ext4');
  const sourcePath = path.join(folder, 'upload');
  const canary = path.join(folder, 'canary');
  await mkdir(images);
  await writeFile(canary, CANARY);
  const lines: ImportProgress[] = [];
  return {
    folder,
    imagePath,
    lines,
    async build(source, { limits, ...changes } = {}) {
      if (typeof source !== 'string') await writeFile(sourcePath, source);
      return await buildRootfs({
        sourcePath: typeof source === 'string' ? source : sourcePath,
        format: 'auto',
        imagePath,
        workDir,
        limits: { ...DEFAULT_IMPORT_LIMITS, ...limits },
        clock: systemClock,
        signal: new AbortController().signal,
        progress: (line) => lines.push(line),
        ...changes,
      });
    },
    async left() {
      const [canaryNow, inWork, besideImage, outside] = await Promise.all([
        readFile(canary, 'utf8'),
        readdir(workDir).catch(() => []),
        readdir(images),
        readdir(folder),
      ]);
      return [
        ...(canaryNow === CANARY ? [] : ['the canary was changed']),
        ...inWork,
        ...besideImage.filter((name) => name !== 'rootfs.ext4'),
        ...outside.filter((name) => !['work', 'images', 'upload', 'canary'].includes(name)),
      ];
    },
  };
}

export const SYSTEM_ENV = { PATH: `${process.env.PATH}:/usr/sbin:/sbin`, LC_ALL: 'C' };

/** A name as an argument of debugfs(8), which takes two quotation marks for one. */
function quoted(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

/** What debugfs(8) says of a path in an image. */
export async function statIn(imagePath: string, name: string): Promise<string> {
  return (await execa('debugfs', ['-R', `stat ${quoted(name)}`, imagePath], { env: SYSTEM_ENV })).stdout;
}

/** Content of a file in an image. */
export async function contentIn(imagePath: string, name: string): Promise<Buffer> {
  const { stdout } = await execa('debugfs', ['-R', `cat ${quoted(name)}`, imagePath], {
    env: SYSTEM_ENV,
    encoding: 'buffer',
    stripFinalNewline: false,
  });
  return Buffer.from(stdout);
}

/** Names in a folder of an image, as latin1 strings. */
export async function namesIn(imagePath: string, folder: string): Promise<string[]> {
  return (await listIn(imagePath, folder)).map(({ name }) => name);
}

/** Paths of everything in an image but what mke2fs itself puts there. All names have to be UTF-8. */
export async function pathsIn(imagePath: string, folder = ''): Promise<string[]> {
  const paths: string[] = [];
  for (const { name, isFolder } of await listIn(imagePath, `${folder}/`)) {
    const path = `${folder}/${Buffer.from(name, 'latin1')}`;
    if (path === '/lost+found') continue;
    paths.push(path);
    if (isFolder) paths.push(...(await pathsIn(imagePath, path)));
  }
  return paths;
}

async function listIn(
  imagePath: string,
  folder: string,
): Promise<Array<{ name: string; isFolder: boolean }>> {
  const { stdout } = await execa('debugfs', ['-R', `ls -p ${quoted(folder)}`, imagePath], {
    env: SYSTEM_ENV,
    encoding: 'latin1',
  });
  // A line: /inode/mode/uid/gid/name/size/
  return [...stdout.matchAll(/^\/\d+\/(\d+)\/\d+\/\d+\/([^/]*)\/\d*\/$/gm)]
    .map(([, mode = '', name = '']) => ({ name, isFolder: mode.startsWith('04') }))
    .filter(({ name }) => !['', '.', '..'].includes(name))
    .sort((a, b) => (a.name < b.name ? -1 : 1));
}
