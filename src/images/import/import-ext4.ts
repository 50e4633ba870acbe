import { execa } from 'execa';
import { cloneFile } from '../../drivers/disk/files.ts';
import { findProgram } from '../../embedded/child.ts';
import { DormouseError, hasCode, messageOf } from '../../errors/index.ts';
import { shrinkImage } from '../sizes.ts';
import { readSuperblock } from '../superblock.ts';
import { partsOf } from './file-tree.ts';
import type { ImportContext } from './import-archive.ts';
import { invalid } from './invalid.ts';
import { noShell, SHELL } from './require-runnable.ts';

/** symlink(7): how many links the kernel follows in one path. */
const LINKS_MAX = 40;
/** How many names are looked up on the way to a shell; each is a process, and a link may lead through a thousand. */
const LOOKUPS_MAX = 256;

/**
 * Features without which a file system cannot be mounted, and which a guest's kernel has
 * (Documentation/filesystems/ext4/super.rst): folders with types, a journal to be replayed, meta_bg, extents, 64bit,
 * flex_bg, ea_inode, csum_seed, largedir, inline_data.
 */
const POSSIBLE_FEATURES = 0x2 | 0x4 | 0x10 | 0x40 | 0x80 | 0x200 | 0x400 | 0x2000 | 0x4000 | 0x8000;
/** Names of others, as mke2fs has them. */
const IMPOSSIBLE_FEATURES: ReadonlyArray<readonly [flag: number, name: string]> = [
  [0x1, 'compression'],
  [0x8, 'journal_dev'],
  [0x100, 'mmp'],
  [0x1000, 'dirdata'],
  [0x10000, 'encrypt'],
  [0x20000, 'casefold'],
];

/**
 * Makes a copy of an ext4 image, as small as its content allows, written to the disk.
 *
 * @param sourcePath stays as it is
 * @param imagePath a new file, which is to be thrown away when this fails
 * @returns how many files and folders it has, and how many bytes its file system
 * @throws `TEMPLATE_INVALID` when it is no ext4 file system that a guest can mount, is damaged, too large, or has no
 * shell; `DISK_FULL`, `DISK_FAILED`, `DATA_DIR_UNWRITABLE`, `DEPENDENCY_MISSING`; the signal's reason when it aborts
 */
export async function importExt4(
  sourcePath: string,
  sourceBytes: number,
  imagePath: string,
  { limits, signal, progress }: ImportContext,
): Promise<{ files: number; bytes: number }> {
  progress.begin('checking', null);
  const superblock = await readSuperblock(sourcePath).catch(asInvalid);
  const { sizeBytes, incompatibleFeatures } = superblock;
  if (sizeBytes > sourceBytes)
    throw invalid('file-system', `The image is cut off: it has ${sourceBytes} of ${sizeBytes} bytes.`);
  if (Math.max(sizeBytes, sourceBytes) > limits.bytes)
    throw invalid('too-large', `The image has more than ${limits.bytes} bytes.`);
  const impossible = incompatibleFeatures & ~POSSIBLE_FEATURES;
  if (impossible !== 0) {
    const names = IMPOSSIBLE_FEATURES.filter(([flag]) => impossible & flag).map(([, name]) => name);
    const what = names.join(', ') || `0x${impossible.toString(16)}`;
    throw invalid('file-system', `The file system has features that a guest cannot mount: ${what}.`);
  }
  await cloneFile(sourcePath, imagePath, signal);
  progress.begin('making the file system', null);
  await shrinkImage(imagePath, signal).catch(asInvalid);
  if (!(await hasShell(imagePath, signal))) throw noShell();
  const { inodes, freeInodes } = await readSuperblock(imagePath);
  return { files: inodes - freeInodes, bytes: superblock.sizeBytes };
}

/** A tool that finds the image damaged, and not the disk that it is on. */
function asInvalid(error: unknown): never {
  if (!hasCode(error, 'DISK_FAILED')) throw error;
  throw invalid('file-system', 'The image has no sound ext4 file system, and cannot be repaired.', {
    cause: error,
  });
}

async function hasShell(imagePath: string, signal: AbortSignal): Promise<boolean> {
  const ahead = partsOf(SHELL).reverse();
  let behind: string[] = [];
  let lookups = 0;
  for (let links = 0; ahead.length > 0 && links <= LINKS_MAX; ) {
    const part = ahead.pop() as string;
    if (part === '..') {
      behind.pop();
      continue;
    }
    lookups += 1;
    if (lookups > LOOKUPS_MAX) return false;
    const here = [...behind, part];
    const target = await linkTarget(imagePath, `/${here.join('/')}`, signal);
    if (target === undefined) return false;
    if (typeof target !== 'string') {
      behind = here;
      if (ahead.length === 0) return target.isFile;
      continue;
    }
    links += 1;
    if (target.startsWith('/')) behind = [];
    ahead.push(...partsOf(target).reverse());
  }
  return false;
}

/** What debugfs(8) says is there: where a link leads, whether it is a file; nothing when there is nothing. */
async function linkTarget(
  imagePath: string,
  path: string,
  signal: AbortSignal,
): Promise<string | { isFile: boolean } | undefined> {
  // Two quotation marks stand for one.
  const quoted = `"${path.replaceAll('"', '""')}"`;
  const debugfs = await findProgram('debugfs', 'e2fsprogs');
  const command = async (text: string): Promise<string> => {
    const options = { cancelSignal: signal, stdin: 'ignore', env: { LC_ALL: 'C' } } as const;
    return (await execa(debugfs, ['-R', text, imagePath], options)).stdout;
  };
  try {
    const stat = await command(`stat ${quoted}`);
    const [, type] = /Type: (\w+)/.exec(stat) ?? [];
    if (type !== 'symlink') return type === undefined ? undefined : { isFile: type === 'regular' };
    const [, fast] = /^Fast link dest: "(.*)"$/m.exec(stat) ?? [];
    return fast ?? (await command(`cat ${quoted}`));
  } catch (error) {
    if (signal.aborted) throw signal.reason;
    throw new DormouseError('DISK_FAILED', `debugfs cannot look into the image (${messageOf(error)}).`, {
      cause: error,
    });
  }
}
