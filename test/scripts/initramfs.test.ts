import { mkdir, mkdtemp, readFile, readlink, rm, stat, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { execa, execaSync } from 'execa';
import t from 'tap';
import { cpioArchive, FILE, FOLDER, LINK } from '../../scripts/setup/cpio.mjs';
import { initramfs } from '../../scripts/setup/guest-assets.mjs';
import { parseModuleList, resolveModules, selectModules } from '../../scripts/setup/kernel-modules.mjs';

const folder = await mkdtemp(path.join(os.tmpdir(), 'dormouse-test-initramfs-'));
t.teardown(() => rm(folder, { recursive: true, force: true }));

/** Unpacks an archive with busybox's cpio, an implementation that is not ours. */
async function unpack(archive: Buffer, name: string): Promise<string> {
  const dir = path.join(folder, name);
  await mkdir(dir);
  await execa('busybox', ['cpio', '-id'], { cwd: dir, input: archive });
  return dir;
}

/** A kernel's folder of modules as depmod leaves it. */
async function modulesFolder(): Promise<string> {
  const dir = path.join(folder, 'modules');
  await mkdir(path.join(dir, 'kernel'), { recursive: true });
  const xz = (text: string): Uint8Array =>
    execaSync('xz', ['-c'], { input: text, encoding: 'buffer' }).stdout;
  const zstd = (text: string): Uint8Array =>
    execaSync('zstd', ['-cq'], { input: text, encoding: 'buffer' }).stdout;
  await writeFile(path.join(dir, 'kernel/ring.ko'), 'ring');
  await writeFile(path.join(dir, 'kernel/bus.ko.xz'), xz('bus'));
  await writeFile(path.join(dir, 'kernel/net-card.ko.zst'), zstd('net'));
  await writeFile(path.join(dir, 'kernel/odd.ko.bz9'), 'odd');
  await writeFile(
    path.join(dir, 'modules.dep'),
    'kernel/ring.ko:\nkernel/bus.ko.xz: kernel/ring.ko\n' +
      'kernel/net-card.ko.zst: kernel/bus.ko.xz kernel/ring.ko\nkernel/odd.ko.bz9:\n',
  );
  await writeFile(path.join(dir, 'modules.builtin'), 'kernel/fs/ext4.ko\n');
  return dir;
}

t.test('an archive unpacks to what went in', async (t) => {
  const contents = ['', 'a', 'ab', 'abc', 'abcd', 'x'.repeat(5000)];
  const archive = cpioArchive([
    { name: 'dir', mode: FOLDER },
    { name: 'link', mode: LINK, content: Buffer.from('dir/f') },
    ...contents.map((content, i) => ({
      name: `dir/f${'o'.repeat(i)}`,
      mode: FILE,
      content: Buffer.from(content),
    })),
  ]);
  const dir = await unpack(archive, 'plain');
  for (const [i, content] of contents.entries())
    t.equal(await readFile(path.join(dir, `dir/f${'o'.repeat(i)}`), 'utf8'), content);
  t.equal(await readlink(path.join(dir, 'link')), 'dir/f');
  t.equal(archive.length % 4, 0);
});

t.test('modules come after what they depend on, once, and uncompressed', async (t) => {
  const dir = await modulesFolder();
  const wanted = parseModuleList('# the network\nnet_card # comment\n\next4\nbus\n');
  t.same(wanted, ['net_card', 'ext4', 'bus']);
  const modules = resolveModules(dir, wanted);
  t.same(
    modules.map(({ name, content }) => [name, content.toString()]),
    [
      ['ring.ko', 'ring'],
      ['bus.ko', 'bus'],
      ['net-card.ko', 'net'],
    ],
  );
  t.throws(() => resolveModules(dir, ['nonsense']), { message: /no module nonsense/ });
  t.throws(() => resolveModules(dir, ['odd']), { message: /compressed in an unknown way/ });

  const unpacked = await unpack(initramfs(Buffer.from('kit'), modules), 'whole');
  t.equal(await readFile(path.join(unpacked, 'm/order'), 'utf8'), 'ring.ko\nbus.ko\nnet-card.ko\n');
  t.equal(await readFile(path.join(unpacked, 'm/net-card.ko'), 'utf8'), 'net');
  t.equal(await readFile(path.join(unpacked, 'init'), 'utf8'), 'kit');
  t.equal((await stat(path.join(unpacked, 'init'))).mode & 0o777, 0o755);
  t.ok((await stat(path.join(unpacked, 'proc'))).isDirectory());
});

t.test(
  'modules for modprobe stay where the kernel has them, and one that it lacks is left out',
  async (t) => {
    await rm(path.join(folder, 'modules'), { recursive: true, force: true });
    const modules = selectModules(await modulesFolder(), ['nonsense', 'bus', 'ext4', 'net_card']);
    t.same(
      modules.map(({ file, content }) => [file, content.toString()]),
      [
        ['kernel/ring.ko', 'ring'],
        ['kernel/bus.ko', 'bus'],
        ['kernel/net-card.ko', 'net'],
      ],
    );
  },
);
