import { mkdir, mkdtemp, readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import t, { type Test } from 'tap';
import { Templates } from '../../../src/actors/host/templates.ts';
import { type SnapshotMeta, writeMeta } from '../../../src/actors/sandbox/snapshot-meta.ts';
import { sandboxInput } from '../sandbox/support.ts';

async function folder(t: Test): Promise<string> {
  const dir = await mkdtemp(path.join(os.tmpdir(), 'dormouse-templates-'));
  t.teardown(() => rm(dir, { recursive: true, force: true }));
  return dir;
}
const MIB = 2 ** 20;
/** Makes an image of that size, with a hole for a file system. */
const build =
  (sizeMb = 64) =>
  async (imagePath: string) => {
    await writeFile(imagePath, 'image');
    await truncate(imagePath, sizeMb * MIB);
  };
const wish = (changes = {}) =>
  sandboxInput({}, { template: 'minimal', vcpus: 1, memory_mb: 512, disk_size_mb: 20_480, ...changes })
    .options;
const shape = { vcpus: 1, memoryMb: 512 };

/** A snapshot directory as a pause leaves it. */
async function snapshot(root: string, name: string, diskSizeMb: number): Promise<string> {
  const dir = path.join(root, name);
  await mkdir(dir);
  const meta: SnapshotMeta = {
    v: 1,
    sandbox_id: 'sb-aaaaaaaaaaaaaaaaaaaa',
    created_at: '2026-01-01T00:00:00.000Z',
    vcpus: 1,
    memory_mb: 512,
    disk_size_mb: diskSizeMb,
    mac: '02:64:00:00:00:01',
    hostname: 'x',
    token: 'x',
    kernel_path: '/k',
    initrd_path: '/i',
    boot_id: 'x',
  };
  await writeMeta(dir, meta);
  await writeFile(path.join(dir, 'memory'), `memory of ${name}`);
  return dir;
}

t.test('a template is built once and found again', async (t) => {
  const root = path.join(await folder(t), 'templates');
  const templates = new Templates(root);
  await templates.load();
  t.throws(() => templates.get('minimal'), { code: 'TEMPLATE_NOT_FOUND', detail: /There are: none/ });
  let built = 0;
  const count = async (imagePath: string): Promise<void> => {
    built += 1;
    await build()(imagePath);
  };
  const made = await templates.ensure('minimal', 64, count);
  t.match(made, { name: 'minimal', sizeMb: 64, imagePath: path.join(root, 'minimal', 'rootfs.ext4') });
  t.equal(await templates.ensure('minimal', 64, count), made);
  const later = new Templates(root);
  await later.load();
  t.match(await later.ensure('minimal', 64, count), { sizeMb: 64, imagePath: made.imagePath });
  t.equal(built, 1);
  t.throws(() => later.get('debian'), { code: 'TEMPLATE_NOT_FOUND', detail: /"debian".*There are: minimal/ });
});

t.test('a build that fails leaves no template, and is tried again', async (t) => {
  const root = await folder(t);
  const templates = new Templates(root);
  await t.rejects(
    templates.ensure('minimal', 64, async () => {
      throw new Error('no mkfs');
    }),
    { message: 'no mkfs' },
  );
  t.throws(() => templates.get('minimal'), { code: 'TEMPLATE_NOT_FOUND' });
  await templates.ensure('minimal', 64, build());
  t.equal(templates.get('minimal').name, 'minimal');
});

t.test('folders that are not complete are left alone and not offered', async (t) => {
  const root = await folder(t);
  await new Templates(root).ensure('good', 64, build());
  const broken: Record<string, Record<string, string>> = {
    empty: {},
    'no-description': { 'rootfs.ext4': 'image' },
    'no-image': { 'template.json': '{"v":1,"name":"no-image","size_mb":64}' },
    cut: { 'rootfs.ext4': 'image', 'template.json': '{"v":1,"name":"cu' },
    'no-size': { 'rootfs.ext4': 'image', 'template.json': '{}' },
    'no-object': { 'rootfs.ext4': 'image', 'template.json': 'null' },
  };
  for (const [name, files] of Object.entries(broken)) {
    await mkdir(path.join(root, name));
    for (const [file, text] of Object.entries(files)) await writeFile(path.join(root, name, file), text);
  }
  await writeFile(path.join(root, 'a-file'), '');
  const templates = new Templates(root);
  await templates.load();
  t.same(
    (await templates.describe()).map(({ name }) => name),
    ['good'],
  );
  for (const [name, files] of Object.entries(broken))
    t.same((await readdir(path.join(root, name))).sort(), Object.keys(files).sort(), name);
});

t.test('the size of a template is that of its image, whatever its description says', async (t) => {
  const root = await folder(t);
  const templates = new Templates(root);
  t.match(await templates.ensure('minimal', 64, build(65)), { sizeMb: 65 });
  await templates.ensure('debian', 64, build(64));
  const images = templates.images();
  t.same(images, [
    { name: 'minimal', imagePath: path.join(root, 'minimal', 'rootfs.ext4') },
    { name: 'debian', imagePath: path.join(root, 'debian', 'rootfs.ext4') },
  ]);
  for (const { imagePath } of images) await truncate(imagePath, 100 * MIB + 1);
  t.equal(templates.get('minimal').sizeMb, 65, 'measured when it is asked for');
  await templates.refresh();
  t.equal(templates.get('minimal').sizeMb, 101, 'rounded up: a disk that is smaller cannot hold it');
  t.match(await templates.describe(), [{ size_mb: 101 }, { size_mb: 101 }]);
  const later = new Templates(root);
  await later.load();
  t.equal(later.get('debian').sizeMb, 101);

  await rm(path.join(root, 'debian', 'rootfs.ext4'));
  await later.refresh();
  t.throws(() => later.get('debian'), { code: 'TEMPLATE_NOT_FOUND' });
  t.same(
    later.images().map(({ name }) => name),
    ['minimal'],
    'one whose image is gone is no longer offered',
  );
});

t.test('what an image takes is what its blocks take', async (t) => {
  const templates = new Templates(await folder(t));
  await templates.ensure('minimal', 64, async (imagePath) => {
    await writeFile(imagePath, Buffer.alloc(8192, 1));
    await truncate(imagePath, 64 * MIB);
  });
  const [info] = await templates.describe();
  t.match(info, { name: 'minimal', size_mb: 64, warm: [] });
  t.ok(info && info.allocated_bytes >= 8192 && info.allocated_bytes < MIB, `${info?.allocated_bytes}`);
});

t.test(
  'a sandbox starts from the saved machine of its shape, if its disk is not larger than wished',
  async (t) => {
    const root = await folder(t);
    const templates = new Templates(path.join(root, 'templates'));
    const { imagePath } = await templates.ensure('minimal', 64, build());
    const image = { kind: 'image', imagePath };
    t.same(templates.sourceOf(wish()), image);
    t.equal(templates.hasWarm('minimal', shape), false);
    t.equal(templates.hasWarm('unknown', shape), false);

    const saved = await snapshot(root, 'first', 20_480);
    await templates.keepWarm('minimal', shape, 20_480, saved);
    t.equal(templates.hasWarm('minimal', shape), true);
    t.equal(templates.warmCount('minimal'), 1);
    const source = templates.sourceOf(wish());
    t.match(source, { kind: 'snapshot' });
    const dir = source.kind === 'snapshot' ? source.dir : '';
    t.equal(await readFile(path.join(dir, 'memory'), 'utf8'), 'memory of first');
    t.notOk((await readdir(root)).includes('first'), 'it was moved');

    t.same(templates.sourceOf(wish({ disk_size_mb: 40_960 })), source, 'a disk can grow');
    t.same(templates.sourceOf(wish({ disk_size_mb: 20_479 })), image, 'and not shrink');
    t.same(templates.sourceOf(wish({ memory_mb: 1024 })), image);
    t.same(templates.sourceOf(wish({ vcpus: 2 })), image);
    t.throws(() => templates.sourceOf(wish({ template: 'unknown' })), { code: 'TEMPLATE_NOT_FOUND' });

    await templates.keepWarm('minimal', shape, 20_480, await snapshot(root, 'second', 20_480));
    t.equal(
      await readFile(path.join(dir, 'memory'), 'utf8'),
      'memory of second',
      'a newer one takes its place',
    );

    const later = new Templates(path.join(root, 'templates'));
    await later.load();
    t.same(later.sourceOf(wish()), source, 'and is found again');
    t.match(await later.describe(), [{ name: 'minimal', warm: ['1x512x20480'] }]);
  },
);

t.test('a saved machine that is damaged is not used', async (t) => {
  const root = await folder(t);
  const templates = new Templates(root);
  const { imagePath } = await templates.ensure('minimal', 64, build());
  for (const [key, text] of [
    ['1x512', '{"v":1,'],
    ['2x512', '{"disk_size_mb":100}'],
  ] as const) {
    await mkdir(path.join(root, 'minimal', 'warm', key), { recursive: true });
    await writeFile(path.join(root, 'minimal', 'warm', key, 'meta.json'), text);
  }
  const later = new Templates(root);
  await later.load();
  t.same(later.sourceOf(wish()), { kind: 'image', imagePath });
  t.equal(later.warmCount('minimal'), 0);
});
