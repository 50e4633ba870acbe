import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { readFile, stat } from 'node:fs/promises';
import { pipeline } from 'node:stream/promises';
import { type Static, type TSchema, Type } from 'typebox';
import { Value } from 'typebox/value';
import { diskError } from '../../drivers/disk/files.ts';
import type { FileTree } from './file-tree.ts';
import { ImageConfig } from './image-config.ts';
import type { UnpackedRoot } from './import-archive.ts';
import { invalid } from './invalid.ts';
import { within } from './unpack.ts';

/**
 * Finds the one image for this machine in an unpacked archive of images: an OCI image layout, or what `docker save`
 * wrote before it wrote those.
 */
export interface Image {
  config: ImageConfig;
  /** From the lowest to the highest: files on the host. */
  layers: Layer[];
}

export interface Layer {
  file: Buffer;
  bytes: number;
  /** `sha256:<hex>` of the layer when it is decompressed, where the image says it. */
  diffId: string | undefined;
}

/** `manifest.json` of `docker save`. */
const DOCKER_MANIFEST = 'manifest.json';
const OCI_MARK = 'oci-layout';
const OCI_INDEX = 'index.json';
/** What a root file system has and an archive of images has not. */
const ROOT_FOLDERS = ['bin', 'etc', 'usr'];

const Descriptor = Type.Object({
  mediaType: Type.Optional(Type.String()),
  digest: Type.String(),
  platform: Type.Optional(
    Type.Object({ architecture: Type.Optional(Type.String()), os: Type.Optional(Type.String()) }),
  ),
});
type Descriptor = Static<typeof Descriptor>;
/** An index names manifests, a manifest names a configuration and layers; the index of a layout has no media type. */
const Index = Type.Object({ manifests: Type.Array(Descriptor) });
const Manifest = Type.Object({ config: Descriptor, layers: Type.Array(Descriptor) });
const DockerManifest = Type.Array(Type.Object({ Config: Type.String(), Layers: Type.Array(Type.String()) }));

const OS = 'linux';
const ARCHITECTURE = 'amd64';
const DIGEST = /^sha256:([0-9a-f]{64})$/;
const JSON_BYTES_MAX = 4 * 2 ** 20;
/** How deep an index may be in another, and how many manifests are looked at. */
const DEPTH_MAX = 4;
const MANIFESTS_MAX = 256;

/** Whether an archive with these files holds images, and no root file system. */
export function holdsImages(tree: FileTree): boolean {
  const isFile = (name: string): boolean => tree.at(name)?.kind === 'file';
  if (ROOT_FOLDERS.some((name) => tree.at(name))) return false;
  return isFile(DOCKER_MANIFEST) || (isFile(OCI_MARK) && isFile(OCI_INDEX));
}

/**
 * Reads which layers make the image. Digests of everything but the layers' content are checked.
 *
 * @throws `TEMPLATE_INVALID` when the layout is not as specified, or has no or several images for linux/amd64; `DISK_FAILED`
 */
export async function findImage(unpacked: UnpackedRoot, signal: AbortSignal): Promise<Image> {
  const isOci = [OCI_MARK, OCI_INDEX].every((name) => unpacked.tree.resolve(name)?.node.kind === 'file');
  return isOci ? await findOciImage(unpacked, signal) : await findDockerImage(unpacked);
}

async function findOciImage(unpacked: UnpackedRoot, signal: AbortSignal): Promise<Image> {
  const images: Image[] = [];
  const seen = new Set<string>();
  const visit = async (descriptors: readonly Descriptor[], depth: number): Promise<void> => {
    for (const { digest, platform } of descriptors) {
      signal.throwIfAborted();
      if (seen.has(digest) || (platform && !isOurs(platform))) continue;
      seen.add(digest);
      if (depth > DEPTH_MAX || seen.size > MANIFESTS_MAX)
        throw invalid(
          'layout',
          'The archive has too many manifests, or indexes that are too deep in each other.',
        );
      const manifest = await readBlob(unpacked, digest, Type.Union([Manifest, Index]), signal);
      if ('manifests' in manifest) await visit(manifest.manifests, depth + 1);
      else await add(manifest);
    }
  };
  const add = async (manifest: Static<typeof Manifest>): Promise<void> => {
    const config = await readBlob(unpacked, manifest.config.digest, ImageConfig, signal);
    if (!isOurs(config)) return;
    const layers = await Promise.all(
      manifest.layers.map(({ digest }) => layerAt(unpacked, blobPath(digest))),
    );
    for (const [index, { digest }] of manifest.layers.entries())
      await checkDigest(layers[index]?.file, digest, signal);
    images.push(withDiffIds(config, layers));
  };
  const index = await readJson(unpacked, OCI_INDEX, Index);
  await visit(index.manifests, 1);
  return theOnly(images);
}

async function findDockerImage(unpacked: UnpackedRoot): Promise<Image> {
  const manifests = await readJson(unpacked, DOCKER_MANIFEST, DockerManifest);
  const images: Image[] = [];
  for (const { Config, Layers } of manifests) {
    const config = await readJson(unpacked, Config, ImageConfig);
    if (!isOurs(config)) continue;
    images.push(withDiffIds(config, await Promise.all(Layers.map((layer) => layerAt(unpacked, layer)))));
  }
  return theOnly(images);
}

/** What says nothing of its platform is taken for ours. */
function isOurs({ os = OS, architecture = ARCHITECTURE }: { os?: string; architecture?: string }): boolean {
  return os === OS && architecture === ARCHITECTURE;
}

function theOnly(images: readonly Image[]): Image {
  const [image] = images;
  if (image && images.length === 1) return image;
  const what = image ? `${images.length} images` : 'no image';
  throw invalid('platform', `The archive has ${what} for ${OS}/${ARCHITECTURE}; exactly one is needed.`);
}

function withDiffIds(config: ImageConfig, layers: ReadonlyArray<Omit<Layer, 'diffId'>>): Image {
  const ids = config.rootfs?.diff_ids;
  if (ids && ids.length !== layers.length)
    throw invalid(
      'layout',
      `The image has ${layers.length} layers, and its configuration names ${ids.length}.`,
    );
  return { config, layers: layers.map((layer, index) => ({ ...layer, diffId: ids?.[index] })) };
}

function blobPath(digest: string): string {
  const [, hex] = DIGEST.exec(digest) ?? [];
  if (hex === undefined) throw invalid('layout', 'The archive names a blob by something else than SHA-256.');
  return `blobs/sha256/${hex}`;
}

/** A file of the archive; links within the archive are followed, and lead nowhere else. */
async function layerAt({ tree, root }: UnpackedRoot, path: string): Promise<Omit<Layer, 'diffId'>> {
  const found = tree.resolve(path);
  if (found?.node.kind !== 'file')
    throw invalid('layout', 'The archive lacks a file that it names.', {
      entry: Buffer.from(path).toString('latin1'),
    });
  const file = within(root, found.path);
  const { size } = await stat(file).catch((error: unknown) => {
    throw diskError('The unpacked archive could not be read', error);
  });
  return { file, bytes: size };
}

async function readBlob<T extends TSchema>(
  unpacked: UnpackedRoot,
  digest: string,
  schema: T,
  signal: AbortSignal,
): Promise<Static<T>> {
  const path = blobPath(digest);
  await checkDigest((await layerAt(unpacked, path)).file, digest, signal);
  return await readJson(unpacked, path, schema);
}

async function readJson<T extends TSchema>(
  unpacked: UnpackedRoot,
  path: string,
  schema: T,
): Promise<Static<T>> {
  const { file, bytes } = await layerAt(unpacked, path);
  const entry = { entry: path };
  if (bytes > JSON_BYTES_MAX)
    throw invalid('layout', `The archive has a JSON file of ${bytes} bytes.`, entry);
  const text = await readFile(file, 'utf8').catch((error: unknown) => {
    throw diskError('The unpacked archive could not be read', error);
  });
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw invalid('layout', 'The archive has a file that should be JSON, and is not.', { ...entry, cause });
  }
  if (!Value.Check(schema, value))
    throw invalid('layout', 'The archive has a JSON file that is not as the image format has it.', entry);
  return value;
}

async function checkDigest(file: Buffer | undefined, digest: string, signal: AbortSignal): Promise<void> {
  const hash = createHash('sha256');
  try {
    await pipeline(createReadStream(file ?? ''), hash, { signal });
  } catch (error) {
    if (signal.aborted) throw signal.reason;
    throw diskError('The unpacked archive could not be read', error);
  }
  if (`sha256:${hash.digest('hex')}` !== digest)
    throw invalid('digest', 'The archive has a blob whose content is not what its digest says.', {
      entry: digest,
    });
}
