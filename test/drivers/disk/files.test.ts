import { mkdir, open, readdir, readFile, stat, truncate, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { execa } from 'execa';
import t, { type Test } from 'tap';
import { allocatedBytes, cloneFile, shareBlocks } from '../../../src/drivers/disk/files.ts';
import { openTestStore, tempDataDir } from '../../support/data-dir.ts';

const signal = new AbortController().signal;
const MB = 2 ** 20;

/** A file of `sizeMb` MiB whose first MiB is data and whose rest is a hole. */
async function sparseFile(file: string, sizeMb: number): Promise<void> {
  await writeFile(file, Buffer.alloc(MB, 0x5a));
  await truncate(file, sizeMb * MB);
}

/** Folder on a small tmpfs: a file system without reflinks that is soon full. */
async function tmpfs(t: Test, sizeMb: number, flags = 'rw'): Promise<string> {
  const { root } = await tempDataDir(t);
  const dir = path.join(root, 'tmpfs');
  await mkdir(dir);
  await execa('mount', ['-t', 'tmpfs', '-o', `size=${sizeMb}m,${flags}`, 'tmpfs', dir]);
  t.teardown(() => execa('umount', [dir]));
  return dir;
}

t.test('with reflinks a clone takes neither time nor space, and later writes stay apart', async (t) => {
  const paths = await tempDataDir(t);
  t.ok((await openTestStore(paths)).reflinks);
  const [from, to] = [path.join(paths.store, 'a'), path.join(paths.store, 'b')];
  await writeFile(from, Buffer.alloc(64 * MB, 1));
  const freeBefore = (await execa('df', ['--output=avail', '-k', paths.store])).stdout;
  await cloneFile(from, to, signal);
  const freeAfter = (await execa('df', ['--output=avail', '-k', paths.store])).stdout;
  const [before, after] = [freeBefore, freeAfter].map((text) => Number(text.split('\n')[1]));
  t.ok(before! - after! < 1024, `the clone took ${before! - after!} KiB`);
  const handle = await open(to, 'r+');
  await handle.write('changed');
  await handle.close();
  t.equal((await readFile(from))[0], 1);
  t.equal((await readFile(to)).subarray(0, 7).toString(), 'changed');
});

t.test('without reflinks holes stay holes', async (t) => {
  const dir = await tmpfs(t, 64);
  const [from, to] = [path.join(dir, 'a'), path.join(dir, 'b')];
  await sparseFile(from, 1000);
  t.equal(await shareBlocks(from, to), false, 'tmpfs cannot share blocks');
  t.same(await readdir(dir), ['a'], 'and nothing is left of the try');
  await cloneFile(from, to, signal);
  t.equal((await stat(to)).size, 1000 * MB);
  t.ok((await allocatedBytes(to)) <= 2 * MB);
  t.equal((await readFile(to)).subarray(0, MB).compare(Buffer.alloc(MB, 0x5a)), 0);
});

t.test('a clone to another file system is a sparse copy', async (t) => {
  const paths = await tempDataDir(t);
  await openTestStore(paths);
  const [from, to] = [path.join(paths.root, 'a'), path.join(paths.store, 'b')];
  await sparseFile(from, 100);
  await cloneFile(from, to, signal);
  t.equal((await stat(to)).size, 100 * MB);
  t.ok((await allocatedBytes(to)) <= 2 * MB);
});

t.test('an existing file is replaced as a whole, and readable by its owner only', async (t) => {
  const { root } = await tempDataDir(t);
  const [from, to] = [path.join(root, 'a'), path.join(root, 'b')];
  await writeFile(from, 'new', { mode: 0o444 });
  await writeFile(to, 'old and longer', { mode: 0o644 });
  const reader = await open(to);
  await cloneFile(from, to, signal, { sizeBytes: 10, durable: true });
  t.equal(await readFile(to, 'utf8'), `new${'\0'.repeat(7)}`);
  t.equal((await stat(to)).mode & 0o777, 0o600);
  t.equal(await reader.readFile('utf8'), 'old and longer', 'who has it open keeps the old one');
  await reader.close();
});

t.test('a full file system is DISK_FULL, and the half copy is gone', async (t) => {
  const dir = await tmpfs(t, 4);
  const { root } = await tempDataDir(t);
  const from = path.join(root, 'a');
  await writeFile(from, Buffer.alloc(8 * MB, 1));
  await t.rejects(cloneFile(from, path.join(dir, 'b'), signal), { code: 'DISK_FULL' });
  t.same(await readdir(dir), []);
});

t.test('a read-only file system is DATA_DIR_UNWRITABLE', async (t) => {
  const dir = await tmpfs(t, 4, 'ro');
  const { root } = await tempDataDir(t);
  await writeFile(path.join(root, 'a'), 'x');
  await t.rejects(cloneFile(path.join(root, 'a'), path.join(dir, 'b'), signal), {
    code: 'DATA_DIR_UNWRITABLE',
  });
});

t.test('a missing source is DISK_FAILED and names it', async (t) => {
  const { root } = await tempDataDir(t);
  const from = path.join(root, 'a');
  await t.rejects(cloneFile(from, path.join(root, 'b'), signal), { code: 'DISK_FAILED', detail: from });
  t.same(await readdir(root), []);
});

t.test('an aborted copy ends with the signal’s reason and leaves nothing', async (t) => {
  const { root } = await tempDataDir(t);
  const dir = await tmpfs(t, 300);
  const from = path.join(root, 'a');
  await writeFile(from, Buffer.alloc(250 * MB, 1));
  const abort = new AbortController();
  const copying = cloneFile(from, path.join(dir, 'b'), abort.signal);
  // The copy has begun when its file is there.
  while ((await readdir(dir)).length === 0) await new Promise(setImmediate);
  const reason = new Error('enough');
  abort.abort(reason);
  await t.rejects(copying, reason);
  t.same(await readdir(dir), []);
  await t.rejects(cloneFile(from, path.join(dir, 'b'), abort.signal), reason);
});
