import { createHash } from 'node:crypto';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import t from 'tap';
import { isSound } from '../support.ts';
import { contentIn, type Item, importer, namesIn, needsRoot, SHELL, statIn, tarOf } from './support.ts';

/** Archives of images: `docker save` as it was and as it is, and OCI layouts. */

const CONFIG = {
  architecture: 'amd64',
  os: 'linux',
  config: {
    User: 'app:staff',
    WorkingDir: '/srv/app',
    Env: ['PATH=/usr/bin', 'LANG=C', 'EMPTY=', 'PATH=/opt/bin:/usr/bin', '1BAD=x'],
  },
};
const OTHER = { ...CONFIG, architecture: 'arm64' };

const LOWER: Item[] = [
  { ...SHELL, name: 'usr/bin/sh' },
  { name: 'bin', type: 'symlink', linkname: 'usr/bin' },
  { name: 'etc/removed', content: 'x' },
  { name: 'etc/kept', content: 'lower' },
  { name: 'etc/replaced', content: 'lower' },
  { name: 'opt/emptied/a', content: 'x' },
  { name: 'opt/emptied/b/c', content: 'x' },
  { name: 'opt/link', type: 'symlink', linkname: '/etc' },
  { name: 'opt/folder/file', content: 'x' },
  { name: 'opt/dev', type: 'symlink', linkname: '/dev' },
];
const UPPER: Item[] = [
  { name: 'etc/replaced', content: 'upper', uid: 7, gid: 8, mode: 0o600 },
  { name: 'etc/.wh.removed', content: '' },
  { name: 'etc/.wh.never-there', content: '' },
  // Also behind what the layer itself puts there.
  { name: 'opt/emptied/new', content: 'upper' },
  { name: 'opt/emptied/.wh..wh..opq', content: '' },
  { name: '.wh..wh.plnk/1.2', content: 'of aufs' },
  // A link becomes a folder, and a folder becomes a link.
  { name: 'opt/link/file', content: 'upper' },
  { name: 'opt/.wh.link', content: '' },
  { name: 'opt/folder', type: 'symlink', linkname: '/etc' },
  { name: 'opt/dev', type: 'directory' },
  { name: 'opt/dev/null', content: 'a file' },
  { name: 'etc/linked', type: 'link', linkname: 'etc/kept' },
  { name: 'dev/null', type: 'character-device', devmajor: 1, devminor: 3 },
];

const sha256 = (bytes: string | Buffer): string => createHash('sha256').update(bytes).digest('hex');

/** An OCI layout that is made up piece by piece. */
class Layout {
  readonly items: Item[] = [];
  readonly index: unknown[] = [];

  blob(content: string | Buffer): { digest: string; size: number } {
    this.items.push({ name: `blobs/sha256/${sha256(content)}`, content });
    return { digest: `sha256:${sha256(content)}`, size: Buffer.byteLength(content) };
  }

  manifest(config: object, layers: readonly Buffer[]): { digest: string; size: number } {
    return this.blob(
      JSON.stringify({
        schemaVersion: 2,
        config: this.blob(JSON.stringify(config)),
        layers: layers.map((layer) => this.blob(layer)),
      }),
    );
  }

  async tar(): Promise<Buffer> {
    return await tarOf([
      ...this.items,
      { name: 'oci-layout', content: JSON.stringify({ imageLayoutVersion: '1.0.0' }) },
      { name: 'index.json', content: JSON.stringify({ schemaVersion: 2, manifests: this.index }) },
    ]);
  }
}

function withIds(config: object, layers: readonly Buffer[]): object {
  return {
    ...config,
    rootfs: { type: 'layers', diff_ids: layers.map((layer) => `sha256:${sha256(layer)}`) },
  };
}

async function dockerSave(config: object, layers: readonly Buffer[], changes: Item[] = []): Promise<Buffer> {
  const manifest = [
    { Config: 'c.json', RepoTags: ['x:1'], Layers: layers.map((_, index) => `l${index}/layer.tar`) },
  ];
  return await tarOf([
    ...layers.map((content, index) => ({ name: `l${index}/layer.tar`, content })),
    { name: 'c.json', content: JSON.stringify(config) },
    { name: 'manifest.json', content: JSON.stringify(manifest) },
    ...changes,
  ]);
}

t.test('layers are laid over each other, and marks remove what is below', needsRoot, async (t) => {
  const layers = [await tarOf(LOWER), await tarOf([]), await tarOf(UPPER)];
  const layout = new Layout();
  const compressed = [gzipSync(layers[0]!), zstdCompressSync(layers[1]!), layers[2]!];
  const inner = layout.blob(
    JSON.stringify({
      manifests: [
        { ...layout.manifest(OTHER, []), platform: { os: 'linux', architecture: 'arm64' } },
        {
          ...layout.manifest(withIds(CONFIG, layers), compressed),
          platform: { os: 'linux', architecture: 'amd64' },
        },
        { ...layout.manifest({}, []), platform: { os: 'unknown', architecture: 'unknown' } },
      ],
    }),
  );
  layout.index.push(inner);
  const sources = {
    'OCI layout': await layout.tar(),
    'OCI layout, compressed': gzipSync(await layout.tar()),
    'docker save': await dockerSave(withIds(CONFIG, layers), layers),
  };
  for (const [what, source] of Object.entries(sources))
    await t.test(what, async (t) => {
      const { build, imagePath, left } = await importer(t);
      const built = await build(source);
      t.match(built, {
        format: 'oci',
        config: {
          user: 'app',
          cwd: '/srv/app',
          env: { PATH: '/opt/bin:/usr/bin', LANG: 'C', EMPTY: '' },
        },
        leftOut: ['dev/null (device)', 'Env 1BAD'],
      });
      t.ok(await isSound(imagePath));
      t.same(await left(), []);
      t.same(await namesIn(imagePath, '/etc'), ['kept', 'linked', 'replaced']);
      t.same(await namesIn(imagePath, '/opt'), ['dev', 'emptied', 'folder', 'link']);
      t.same(await namesIn(imagePath, '/opt/emptied'), ['new']);
      t.same(await namesIn(imagePath, '/opt/link'), ['file']);
      t.same(
        (await namesIn(imagePath, '/')).filter((name) => name.startsWith('.')),
        [],
      );
      t.equal(String(await contentIn(imagePath, '/opt/dev/null')), 'a file');
      t.match(await statIn(imagePath, '/opt/folder'), /Fast link dest: "\/etc"/);
      t.match(await statIn(imagePath, '/opt/link'), /Mode: +0755/, 'a folder that no entry names');
      const replaced = await statIn(imagePath, '/etc/replaced');
      t.match(replaced, /Mode: +0600/);
      t.match(replaced, /User: +7 +Group: +8/);
      t.match(await statIn(imagePath, '/etc/kept'), /Links: 2/);
    });
});

t.test('a layer cannot reach out through what a lower one left', needsRoot, async (t) => {
  const lower = await tarOf([...LOWER, { name: 'out', type: 'symlink', linkname: '/tmp' }]);
  for (const [what, items, data] of [
    [
      'a file through a link',
      [{ name: 'out/x', content: 'x' }],
      { reason: 'through-symlink', entry: 'out/x' },
    ],
    ['a mark through a link', [{ name: 'out/.wh.x', content: '' }], { reason: 'through-symlink' }],
    ['a mark for ..', [{ name: 'etc/.wh...', content: '' }], { reason: 'whiteout', entry: 'etc/.wh...' }],
    ['a mark for nothing', [{ name: 'etc/.wh.', content: '' }], { reason: 'whiteout' }],
    ['a mark with ..', [{ name: '../.wh.canary', content: '' }], { reason: 'path-escape' }],
    [
      'a hard link through a link',
      [{ name: 'l', type: 'link', linkname: 'out/x' }],
      { reason: 'through-symlink' },
    ],
    [
      'a hard link to what the layer removes',
      [
        { name: 'l', type: 'link', linkname: 'etc/kept' },
        { name: 'etc/.wh.kept', content: '' },
      ],
      { reason: 'hard-link' },
    ],
    ['the shell removed', [{ name: 'usr/bin/.wh.sh', content: '' }], { reason: 'no-shell' }],
  ] as Array<[string, Item[], object]>)
    await t.test(what, async (t) => {
      const { build, left } = await importer(t);
      const source = await dockerSave(CONFIG, [lower, await tarOf(items)]);
      await t.rejects(build(source), { code: 'TEMPLATE_INVALID', data });
      t.same(await left(), []);
    });
});

t.test('an archive of images that is not as it should be', needsRoot, async (t) => {
  const layer = await tarOf(LOWER);
  const withIndex = async (make: (layout: Layout) => unknown[]): Promise<Buffer> => {
    const layout = new Layout();
    layout.index.push(...make(layout));
    return await layout.tar();
  };
  const changed = await withIndex((layout) => {
    const manifest = layout.manifest(CONFIG, [layer]);
    const blob = layout.items.find(({ content }) => content === layer)!;
    blob.content = Buffer.concat([layer, Buffer.alloc(1)]);
    return [manifest];
  });
  for (const [what, source, reason] of [
    ['content that is not what the digest says', changed, 'digest'],
    [
      'content that is not what the configuration says',
      await dockerSave(withIds(CONFIG, [await tarOf([])]), [layer]),
      'digest',
    ],
    ['a number of layers that is not', await dockerSave(withIds(CONFIG, []), [layer]), 'layout'],
    ['only another platform', await dockerSave(OTHER, [layer]), 'platform'],
    [
      'two images',
      await withIndex((layout) => [
        layout.manifest(CONFIG, [layer]),
        layout.manifest({ ...CONFIG, created: 'later' }, [layer]),
      ]),
      'platform',
    ],
    ['no image', await withIndex(() => []), 'platform'],
    ['a blob that is missing', await withIndex(() => [{ digest: `sha256:${'0'.repeat(64)}` }]), 'layout'],
    ['a digest that is a path', await withIndex(() => [{ digest: 'sha256:../../../etc/passwd' }]), 'layout'],
    ['a manifest that is no JSON', await withIndex((layout) => [layout.blob('{')]), 'layout'],
    ['a manifest of another form', await withIndex((layout) => [layout.blob('{"layers": 7}')]), 'layout'],
    [
      'a file of the manifest that is a link out of the archive',
      await tarOf([
        { name: 'c.json', type: 'symlink', linkname: '/etc/hostname' },
        { name: 'manifest.json', content: JSON.stringify([{ Config: 'c.json', Layers: [] }]) },
      ]),
      'layout',
    ],
    ['a layer that is no archive', await dockerSave(CONFIG, [Buffer.from('hello')]), 'unreadable'],
    ['an archive of a root file system, as oci', await tarOf([SHELL]), 'layout'],
  ] as const)
    await t.test(what, async (t) => {
      const { build, left } = await importer(t);
      await t.rejects(build(source, { format: 'oci' }), { code: 'TEMPLATE_INVALID', data: { reason } });
      t.same(await left(), []);
    });
});

t.test('a layer may be a link within the archive, as docker saved equal ones', needsRoot, async (t) => {
  const { build, imagePath } = await importer(t);
  const manifest = [{ Config: 'c.json', Layers: ['a/layer.tar', 'b/layer.tar'] }];
  await build(
    await tarOf([
      { name: 'a/layer.tar', content: await tarOf(LOWER) },
      { name: 'b/layer.tar', type: 'symlink', linkname: '../a/layer.tar' },
      { name: 'c.json', content: JSON.stringify(CONFIG) },
      { name: 'manifest.json', content: JSON.stringify(manifest) },
    ]),
  );
  t.ok(await isSound(imagePath));
});

t.test('a root file system that has a manifest.json stays one', needsRoot, async (t) => {
  const { build } = await importer(t);
  const built = await build(await tarOf([SHELL, { name: 'manifest.json', content: '[]' }]));
  t.equal(built.format, 'tar');
  t.equal(built.config, undefined);
});
