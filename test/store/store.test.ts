import { mkdir, open, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { execa } from 'execa';
import t from 'tap';
import { cloneFile } from '../../src/drivers/disk/files.ts';
import { deviceNumber } from '../../src/drivers/loop/device-number.ts';
import type { Paths } from '../../src/paths.ts';
import { mountedOn } from '../../src/store/image.ts';
import { freeMb } from '../../src/store/index.ts';
import { openTestStore, tempDataDir } from '../support/data-dir.ts';

const signal = new AbortController().signal;
const MB = 2 ** 20;

/** Files under which loop devices have this data directory's image. */
async function loops({ storeImage }: Paths): Promise<string[]> {
  const { stdout } = await execa('losetup', ['--associated', storeImage, '--noheadings', '--output', 'NAME']);
  return stdout.split('\n').filter(Boolean);
}

/** Mounts a tmpfs as the data directory's file system, which has no reflinks for certain. */
async function onTmpfs(
  t: { teardown(undo: () => Promise<unknown>): unknown },
  sizeMb: number,
): Promise<Paths> {
  const paths = await tempDataDir(t);
  await execa('mount', ['-t', 'tmpfs', '-o', `size=${sizeMb}m`, 'tmpfs', paths.root]);
  t.teardown(async () => {
    if ((await mountedOn(paths).catch(() => 'nothing')) !== 'nothing') await execa('umount', [paths.store]);
    await execa('umount', [paths.root]);
  });
  return paths;
}

t.test('without reflinks an image is made, mounted, and found again', async (t) => {
  const paths = await onTmpfs(t, 512);
  const first = await openTestStore(paths);
  t.match(first, { reflinks: true, how: 'an XFS image, with reflinks' });
  t.equal((await stat(paths.storeImage)).size, 1024 * MB);
  t.ok((await stat(paths.storeImage)).blocks * 512 < 100 * MB, 'the image is sparse');
  t.equal((await loops(paths)).length, 1);
  await writeFile(path.join(paths.store, 'kept'), 'yes');

  const again = await openTestStore(paths);
  t.match(again, { reflinks: true, how: /mounted already/ });
  t.equal((await loops(paths)).length, 1, 'opening again mounts nothing twice');

  await first.close();
  await first.close();
  await again.close();
  t.equal(await mountedOn(paths), 'nothing');
  t.same(await loops(paths), [], 'the loop device is gone with the mount');
  t.same(await readdir(paths.store), []);

  await (await openTestStore(paths)).close();
  const third = await openTestStore(paths);
  t.equal(await readFile(path.join(paths.store, 'kept'), 'utf8'), 'yes');
  t.same(await readdir(paths.store), ['kept'], 'no probe is left');
  await third.close();
});

t.test('a store in use stays mounted, and the next start uses it', async (t) => {
  const paths = await onTmpfs(t, 512);
  const store = await openTestStore(paths);
  const guest = await open(path.join(paths.store, 'disk'), 'wx');
  await store.close();
  t.equal(await mountedOn(paths), 'image');
  const next = await openTestStore(paths);
  await guest.write('still here');
  await guest.close();
  await next.close();
  t.equal(await mountedOn(paths), 'nothing');
});

t.test('what an interrupted start left is replaced', async (t) => {
  const paths = await onTmpfs(t, 512);
  await writeFile(`${paths.storeImage}.partial`, 'half an image');
  const store = await openTestStore(paths);
  t.equal(store.reflinks, true);
  t.same((await readdir(paths.root)).sort(), ['store', 'store.xfs']);
  await store.close();
});

t.test('an image that is no file system is kept, and refused with the words of mount', async (t) => {
  const paths = await onTmpfs(t, 512);
  await writeFile(paths.storeImage, Buffer.alloc(MB, 7));
  await t.rejects(openTestStore(paths), { code: 'DISK_FAILED', detail: /mount .*: / });
  t.equal((await stat(paths.storeImage)).size, MB);
  t.same(await loops(paths), []);
});

t.test('reflinks of the data directory are used as they are', async (t) => {
  const outer = await onTmpfs(t, 512);
  await openTestStore(outer);
  const paths = { ...outer, root: path.join(outer.store, 'data') };
  const inner: Paths = {
    ...paths,
    store: path.join(paths.root, 'store'),
    storeImage: path.join(paths.root, 'x'),
  };
  const store = await openTestStore(inner);
  t.match(store, { reflinks: true, how: /folder of the data directory/ });
  t.same(await readdir(inner.root), ['store']);
  await store.close();
});

t.test('a file system that somebody mounted there is used and left alone', async (t) => {
  const paths = await onTmpfs(t, 512);
  await mkdir(paths.store);
  await execa('mount', ['-t', 'tmpfs', '-o', 'size=64m', 'tmpfs', paths.store]);
  const store = await openTestStore(paths);
  t.match(store, { reflinks: false, how: /mounted by somebody else, without reflinks/ });
  await store.close();
  t.equal(await mountedOn(paths), 'other');
});

t.test('what is in a plain store is not hidden by an image', async (t) => {
  const paths = await onTmpfs(t, 512);
  await mkdir(paths.sandboxes, { recursive: true });
  t.match(await openTestStore(paths), { reflinks: false, how: /full copy/ });
  t.same(await readdir(paths.store), ['sandboxes']);
});

t.test('an image too small for XFS leaves a plain store that says why', async (t) => {
  const paths = await onTmpfs(t, 512);
  const store = await openTestStore(paths, 8);
  t.match(store, { reflinks: false, how: /no XFS image could be mounted: .*mkfs\.xfs/ });
  t.same(await readdir(paths.root), ['store']);
});

t.test('a read-only data directory is DATA_DIR_UNWRITABLE', async (t) => {
  const paths = await onTmpfs(t, 64);
  await mkdir(paths.store);
  await execa('mount', ['-o', 'remount,ro', paths.root]);
  await t.rejects(openTestStore(paths), { code: 'DATA_DIR_UNWRITABLE' });
});

t.test('a full store is DISK_FULL, and what was there is still whole', async (t) => {
  const paths = await tempDataDir(t);
  const store = await openTestStore(paths, 320);
  t.ok(store.reflinks);
  const source = path.join(paths.root, 'source');
  await writeFile(source, Buffer.alloc(320 * MB, 3));
  await t.rejects(cloneFile(source, path.join(paths.store, 'a'), signal), { code: 'DISK_FULL' });
  t.same(await readdir(paths.store), [], 'the half copy is gone');
  await writeFile(path.join(paths.store, 'b'), 'fits again');
  await store.close();
});

t.test('deleted files give their space back to the file system under the image', async (t) => {
  const paths = await onTmpfs(t, 512);
  await openTestStore(paths);
  const file = path.join(paths.store, 'big');
  await writeFile(file, Buffer.alloc(200 * MB, 3));
  await execa('sync', ['--file-system', file]);
  const taken = (await stat(paths.storeImage)).blocks * 512;
  await execa('rm', [file]);
  const limit = taken - 150 * MB;
  while ((await stat(paths.storeImage)).blocks * 512 > limit) {
    await execa('sync', ['--file-system', paths.store]);
  }
  t.pass('the image shrank');
});

t.test('free space is what both file systems have', async (t) => {
  const paths = await onTmpfs(t, 256);
  await openTestStore(paths);
  const free = await freeMb(paths);
  t.ok(free <= 256 && free > 50, `${free} MiB: the tmpfs under the image of 1024 MiB has less`);
});

t.test('an abort ends the opening with its reason', async (t) => {
  const paths = await onTmpfs(t, 512);
  const reason = new Error('enough');
  await t.rejects(openTestStore(paths, 1024, AbortSignal.abort(reason)), reason);
  t.equal(await mountedOn(paths), 'nothing');
  t.equal((await openTestStore(paths)).reflinks, true, 'and the next one works');
});

t.test('device numbers are written as the kernel writes them', async (t) => {
  t.equal(deviceNumber(0x0700), '7:0');
  t.equal(deviceNumber((259 << 8) | 0x05), '259:5');
  const large = Number(((0x12n << 12n) << 8n) | (0xabcn << 8n) | 0xcdn);
  t.equal(deviceNumber(large), `${0xabc}:${0x12 * 256 + 0xcd}`, 'a minor beyond 255 is split');
});
