import { createHash } from 'node:crypto';
import { rm } from 'node:fs/promises';
import path from 'node:path';
import { openArchive } from './archive.ts';
import { FileTree } from './file-tree.ts';
import { defaultsOf, type RootfsDefaults } from './image-config.ts';
import { findImage, type Image, type Layer } from './image-layout.ts';
import {
  type Checked,
  type ImportContext,
  limitsIn,
  makeRoot,
  type UnpackedRoot,
  unpackChecked,
} from './import-archive.ts';
import { invalid } from './invalid.ts';
import { listArchive, nothingUsed } from './list-archive.ts';
import { planUnpacking } from './plan.ts';
import { unpack } from './unpack.ts';

export interface UnpackedImage extends UnpackedRoot {
  defaults: RootfsDefaults;
}

/**
 * Unpacks the layers of the image in an archive, one over the other.
 *
 * @param checked the archive of images
 * @throws `TEMPLATE_INVALID`, `DISK_FULL`, `DISK_FAILED`, `DEPENDENCY_MISSING`; the signal's reason when it aborts
 */
export async function unpackImage(checked: Checked, context: ImportContext): Promise<UnpackedImage> {
  const { signal } = context;
  const archive = await unpackChecked(checked, context);
  const image = await findImage(archive, signal);
  const { defaults, leftOut } = defaultsOf(image.config);
  const unpacked = await unpackLayers(image, context);
  await rm(archive.root, { recursive: true, force: true });
  return { ...unpacked, leftOut: [...unpacked.leftOut, ...leftOut], defaults };
}

async function unpackLayers({ layers }: Image, context: ImportContext): Promise<UnpackedRoot> {
  const { signal, progress } = context;
  // Each is read twice.
  progress.begin('unpacking', 2 * layers.reduce((sum, { bytes }) => sum + bytes, 0));
  const root = await makeRoot(path.join(context.work, 'image'));
  const limits = limitsIn(root, context.limits);
  const tree = new FileTree();
  const used = nothingUsed();
  let leftOut: string[] = [];
  const read = (bytes: number): void => progress.advance(bytes);
  for (const [layer, { file, diffId }] of layers.entries()) {
    await using archive = await openArchive(file);
    const hash = createHash('sha256');
    const entries = await listArchive(archive, { limits, used, signal, read, hash });
    checkDiffId(layer, diffId, hash.digest('hex'));
    const plan = planUnpacking(entries, { tree, layer, whiteouts: true, limits, used });
    await unpack(archive, { root, tree, plan, limits, signal, read });
    leftOut = leftOut.concat(plan.leftOut);
  }
  return { root, tree, leftOut };
}

function checkDiffId(number: number, diffId: Layer['diffId'], sha256: string): void {
  if (diffId !== undefined && diffId !== `sha256:${sha256}`)
    throw invalid('digest', `Layer ${number + 1} of the image is not what the image's configuration says.`, {
      entry: diffId,
    });
}
