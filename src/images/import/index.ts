import { randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import path from 'node:path';
import type { Clock } from '../../clock.ts';
import { diskError } from '../../drivers/disk/files.ts';
import { makeFolder, renameDurably } from '../../durable-file.ts';
import { DormouseError } from '../../errors/index.ts';
import { BLOCK_BYTES } from '../mke2fs.ts';
import { type Archive, openArchive } from './archive.ts';
import { measure } from './file-tree.ts';
import type { RootfsDefaults } from './image-config.ts';
import { holdsImages } from './image-layout.ts';
import { checkArchive, type ImportContext, type UnpackedRoot, unpackChecked } from './import-archive.ts';
import { importExt4 } from './import-ext4.ts';
import { type UnpackedImage, unpackImage } from './import-image.ts';
import { invalid } from './invalid.ts';
import type { ImportLimits } from './limits.ts';
import { makeImage } from './make-image.ts';
import { type ImportProgress, Progress } from './progress.ts';
import { completeTree, requireRunnable } from './require-runnable.ts';

export type { RootfsDefaults } from './image-config.ts';
export { DEFAULT_IMPORT_LIMITS, type ImportLimits } from './limits.ts';
export type { ImportProgress } from './progress.ts';

/** `tar`: a root file system; `oci`: an OCI layout or `docker save`, as a tar; `auto`: what it looks like. */
export type ImportFormat = 'auto' | 'tar' | 'oci' | 'ext4';

export interface BuildRootfsOptions {
  /** The upload. It is read, and must not change meanwhile. */
  sourcePath: string;
  format: ImportFormat;
  /** The image to make; one that is there is replaced as a whole. */
  imagePath: string;
  /** Folder for what is unpacked, on a file system with room for it; this makes and removes a folder of its own in it. */
  workDir: string;
  limits: ImportLimits;
  clock: Pick<Clock, 'monotonicMs'>;
  signal: AbortSignal;
  progress(line: ImportProgress): void;
}

export interface BuiltRootfs {
  format: Exclude<ImportFormat, 'auto'>;
  /** Files, folders and links. */
  files: number;
  /** Of all files, in bytes; of a file system image, its size. Holes count. */
  bytes: number;
  /** What the upload has and the image has not, for a person. */
  leftOut: string[];
  /** What an image's configuration says about programs. */
  config?: RootfsDefaults;
}

/** As many things that were left out as are told of. */
const LEFT_OUT_MAX = 100;

/**
 * Makes the image of a root file system from an upload. Everything in it is checked before anything is written; nothing
 * is mounted. The image is as small as its content, and outlives a power cut.
 *
 * @throws `TEMPLATE_INVALID` with `reason` and `entry` in its data; `DISK_FULL`, `DISK_FAILED`, `DATA_DIR_UNWRITABLE`,
 * `DEPENDENCY_MISSING`; the signal's reason when it aborts. Nothing is left behind then.
 */
export async function buildRootfs(options: BuildRootfsOptions): Promise<BuiltRootfs> {
  const { sourcePath, imagePath, workDir, limits, clock, signal } = options;
  signal.throwIfAborted();
  await using archive = await openArchive(sourcePath);
  await makeFolder(workDir);
  const work = await mkdtemp(path.join(workDir, 'import-')).catch((error: unknown) => {
    throw diskError(`No folder could be made in ${workDir}`, error);
  });
  const image = `${imagePath}.${randomUUID().slice(0, 8)}.tmp`;
  const context = { work, limits, signal, progress: new Progress(clock, options.progress) };
  try {
    const built = await build(archive, image, options, context);
    signal.throwIfAborted();
    await renameDurably(image, imagePath);
    return { ...built, leftOut: shorten(built.leftOut) };
  } finally {
    await rm(image, { force: true });
    await rm(work, { recursive: true, force: true });
  }
}

async function build(
  archive: Archive,
  image: string,
  { format, sourcePath }: BuildRootfsOptions,
  context: ImportContext,
): Promise<BuiltRootfs> {
  if (format === 'ext4' || (format === 'auto' && archive.looksLike === 'ext4'))
    return { format: 'ext4', leftOut: [], ...(await importExt4(sourcePath, archive.bytes, image, context)) };
  if (format === 'auto' && archive.looksLike === 'nothing known')
    throw invalid(
      'unknown-format',
      'The file is none of: a tar archive, plain or compressed by gzip, xz or zstd; an ext4 file system.',
    );
  requireRoot();
  const checked = await checkArchive(archive, context);
  const isImage = holdsImages(checked.tree);
  if (format === 'oci' && !isImage)
    throw invalid('layout', 'The archive is neither an OCI layout nor one of `docker save`.');
  if (format === 'oci' || (format === 'auto' && isImage)) {
    const unpacked = await unpackImage(checked, context);
    requireRunnable(unpacked.tree);
    return { format: 'oci', config: unpacked.defaults, ...(await finish(unpacked, image, context)) };
  }
  // Before anything is written.
  requireRunnable(checked.tree);
  const unpacked = await unpackChecked(checked, context);
  return { format: 'tar', ...(await finish(unpacked, image, context)) };
}

async function finish(
  { root, tree, leftOut }: UnpackedRoot | UnpackedImage,
  image: string,
  { signal, progress }: ImportContext,
): Promise<Pick<BuiltRootfs, 'files' | 'bytes' | 'leftOut'>> {
  await completeTree(tree, root);
  const content = measure(tree, BLOCK_BYTES);
  progress.begin('making the file system', null);
  await makeImage(root, content, image, signal);
  return { files: content.entries, bytes: content.bytes, leftOut };
}

/** Files would silently belong to this user. */
function requireRoot(): void {
  if (process.getuid?.() === 0) return;
  throw new DormouseError(
    'DISK_FAILED',
    'An archive cannot be unpacked with the owners of its files: this host does not run as root. Run it as root, or upload an ext4 image.',
  );
}

function shorten(leftOut: readonly string[]): string[] {
  if (leftOut.length <= LEFT_OUT_MAX) return [...leftOut];
  return [...leftOut.slice(0, LEFT_OUT_MAX), `and ${leftOut.length - LEFT_OUT_MAX} more`];
}
