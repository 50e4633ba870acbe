import { chmod, copyFile, mkdir, readFile, stat, symlink, truncate, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { execa } from 'execa';
import t from 'tap';
import { readSuperblock } from '../../../src/images/superblock.ts';
import { debugfs, isSound, MIB, tempFolder } from '../support.ts';
import { contentIn, importer, SYSTEM_ENV } from './support.ts';

/** An image of 256 MiB with a shell that is reached by links, as Debian has it. */
async function newImage(
  t: Parameters<typeof tempFolder>[0],
  options: readonly string[] = [],
): Promise<string> {
  const folder = await tempFolder(t);
  const root = path.join(folder, 'root');
  await mkdir(path.join(root, 'usr/bin'), { recursive: true });
  await symlink('usr/bin', path.join(root, 'bin'));
  await symlink(`../../usr/bin/${'../bin/'.repeat(12)}dash`, path.join(root, 'usr/bin/sh'));
  await writeFile(path.join(root, 'usr/bin/dash'), 'a shell');
  await chmod(path.join(root, 'usr/bin/dash'), 0o755);
  const image = path.join(folder, 'image');
  const type = options.includes('-t') ? [] : ['-t', 'ext4'];
  await execa('mke2fs', ['-q', '-F', ...type, ...options, '-d', root, image, '256M'], { env: SYSTEM_ENV });
  return image;
}

t.test('an image is copied, checked and made small; the upload stays as it is', async (t) => {
  for (const [what, options] of [
    ['ext4', []],
    ['ext4 with small blocks', ['-b', '1024']],
    ['ext4 with data in inodes', ['-O', 'inline_data']],
    ['ext3', ['-t', 'ext3']],
    ['ext2', ['-t', 'ext2']],
  ] as const)
    await t.test(what, async (t) => {
      const { build, imagePath, left } = await importer(t);
      const source = await newImage(t, options);
      // As a virtual machine that was ended leaves it.
      await debugfs(source, 'set_super_value state 0');
      const before = await readFile(source);
      const built = await build(source);
      t.match(built, { format: 'ext4', bytes: 256 * MIB, leftOut: [] });
      t.equal(built.config, undefined);
      t.ok(built.files >= 5 && built.files < 30, `${built.files} files`);
      t.ok(before.equals(await readFile(source)), 'the upload is as it was');
      t.ok(await isSound(imagePath));
      t.ok((await stat(imagePath)).size < 64 * MIB, 'it is small');
      t.equal((await readSuperblock(imagePath)).sizeBytes, (await stat(imagePath)).size);
      // mke2fs fills data in an inode up with zeros.
      t.match(String(await contentIn(imagePath, '/usr/bin/dash')), /^a shell\0*$/);
      t.same(await left(), []);
    });
});

t.test('an image that cannot become a template', async (t) => {
  const damages: Record<
    string,
    { harm(image: string): Promise<unknown>; reason: string; options?: string[] }
  > = {
    'no shell': { harm: (image) => debugfs(image, 'rm /usr/bin/dash'), reason: 'no-shell' },
    'cut off': { harm: (image) => truncate(image, 100 * MIB), reason: 'file-system' },
    'inodes that are rubbish': {
      async harm(image) {
        await debugfs(image, 'clri <2>');
        await debugfs(image, 'clri <11>');
      },
      reason: 'no-shell',
    },
    'a superblock that cannot be true': {
      harm: (image) => debugfs(image, 'set_super_value blocks_per_group 0'),
      reason: 'file-system',
    },
    'a feature of the future': {
      harm: (image) => debugfs(image, 'set_super_value feature_incompat 0x400002c2'),
      reason: 'file-system',
    },
    'protection against a second mount': {
      harm: async () => {},
      reason: 'file-system',
      options: ['-O', 'mmp'],
    },
    'names without case': { harm: async () => {}, reason: 'file-system', options: ['-O', 'casefold'] },
    'no file system, and said to be one': {
      harm: (image) => writeFile(image, 'hello'),
      reason: 'file-system',
    },
  };
  for (const [what, { harm, reason, options = [] }] of Object.entries(damages))
    await t.test(what, async (t) => {
      const { build, left } = await importer(t);
      const source = await newImage(t, options);
      await harm(source);
      await t.rejects(build(source, { format: 'ext4' }), { code: 'TEMPLATE_INVALID', data: { reason } });
      t.same(await left(), []);
    });
  await t.test('too large', async (t) => {
    const { build, left } = await importer(t);
    const source = await newImage(t);
    await t.rejects(build(source, { limits: { bytes: 255 * MIB } }), {
      code: 'TEMPLATE_INVALID',
      data: { reason: 'too-large' },
    });
    t.same(await left(), []);
  });
});

t.test('an image for a template replaces one that is there only when it is whole', async (t) => {
  const { build, imagePath, left } = await importer(t);
  await copyFile(await newImage(t), imagePath);
  const before = await readFile(imagePath);
  await t.rejects(build(Buffer.from('hello'), { format: 'ext4' }), { code: 'TEMPLATE_INVALID' });
  t.ok(before.equals(await readFile(imagePath)));
  await build(await newImage(t));
  t.notOk(before.equals(await readFile(imagePath)));
  t.same(await left(), []);
});
