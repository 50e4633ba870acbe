import { chmod, mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { execa } from 'execa';
import t, { type Test } from 'tap';
import { exists, fileError, makeFolder, renameDurably, writeFileDurably } from '../src/durable-file.ts';
import { DormouseError } from '../src/errors/index.ts';

const dir = await mkdtemp(path.join(os.tmpdir(), 'dormouse-durable-'));
t.teardown(() => rm(dir, { recursive: true, force: true }));

const needsRoot = process.getuid?.() === 0 ? {} : { skip: 'mounting needs root' };

/** A file system of its own of 256 KiB, unmounted at the end. */
async function smallDisk(t: Test, name: string): Promise<string> {
  const folder = path.join(dir, name);
  await mkdir(folder);
  await execa('mount', ['-t', 'tmpfs', '-o', 'size=256k', 'tmpfs', folder]);
  t.teardown(async () => void (await execa('umount', [folder])));
  return folder;
}

t.test('a file is replaced as a whole, with its mode, and nothing stays beside it', async (t) => {
  const file = path.join(dir, 'plain', 'file');
  await makeFolder(path.dirname(file));
  await writeFileDurably(file, 'old', 0o600);
  await writeFileDurably(file, new TextEncoder().encode('new'), 0o640);
  t.equal(await readFile(file, 'utf8'), 'new');
  t.equal((await stat(file)).mode & 0o777, 0o640);
  t.equal((await stat(path.dirname(file))).mode & 0o777, 0o700);
  t.same(await readdir(path.dirname(file)), ['file']);
});

t.test('many writers at once: one of them wins, whole', async (t) => {
  const folder = path.join(dir, 'many');
  await makeFolder(folder);
  const file = path.join(folder, 'file');
  const contents = Array.from({ length: 20 }, (_, index) => `${index}`.repeat(20_000));
  let torn = 0;
  const writers = contents.map((content) => writeFileDurably(file, content, 0o600));
  const all = Promise.all(writers).then(() => 'done');
  while ((await Promise.race([all, readFile(file, 'utf8').catch(() => '')])) !== 'done') {
    const seen = await readFile(file, 'utf8').catch(() => contents[0]);
    if (!contents.includes(seen ?? '')) torn += 1;
  }
  t.equal(torn, 0, 'no reader ever saw half a file');
  t.ok(contents.includes(await readFile(file, 'utf8')));
  t.same(await readdir(folder), ['file']);
});

t.test('a full disk: the old content stays, and nothing half-written', needsRoot, async (t) => {
  const folder = await smallDisk(t, 'full');
  const file = path.join(folder, 'file');
  await writeFileDurably(file, 'old', 0o600);
  const error = await writeFileDurably(file, 'x'.repeat(1024 * 1024), 0o600).catch(
    (thrown: unknown) => thrown,
  );
  t.match(error, { code: 'DISK_FULL', cause: { code: 'ENOSPC' } });
  t.ok(error instanceof DormouseError);
  t.equal(await readFile(file, 'utf8'), 'old');
  t.same(await readdir(folder), ['file']);
  await writeFileDurably(file, 'new', 0o600);
  t.equal(await readFile(file, 'utf8'), 'new', 'and there is room again');
});

t.test('a read-only disk', needsRoot, async (t) => {
  const folder = await smallDisk(t, 'read-only');
  const file = path.join(folder, 'file');
  await writeFileDurably(file, 'old', 0o600);
  await execa('mount', ['-o', 'remount,ro', folder]);
  const refused = { code: 'DATA_DIR_UNWRITABLE', cause: { code: 'EROFS' } };
  await t.rejects(writeFileDurably(file, 'new', 0o600), refused);
  await t.rejects(makeFolder(path.join(folder, 'sub')), { code: 'DATA_DIR_UNWRITABLE' });
  await t.rejects(renameDurably(file, `${file}-2`), refused);
  t.equal(await readFile(file, 'utf8'), 'old');
});

t.test('a folder that is not there, or is none', async (t) => {
  const nowhere = { code: 'DATA_DIR_UNWRITABLE', detail: /ENOENT/ };
  await t.rejects(writeFileDurably(path.join(dir, 'nowhere', 'file'), '', 0o600), nowhere);
  await t.rejects(renameDurably(path.join(dir, 'nowhere'), path.join(dir, 'x')), nowhere);
  const file = path.join(dir, 'a-file');
  await writeFile(file, '');
  await t.rejects(makeFolder(path.join(file, 'sub')), { code: 'DATA_DIR_UNWRITABLE', detail: /ENOTDIR/ });
});

t.test('folders on the way are made, and those that are there are left as they are', async (t) => {
  const folder = path.join(dir, 'a', 'b', 'c');
  await makeFolder(folder);
  await chmod(folder, 0o755);
  await makeFolder(folder);
  t.equal((await stat(folder)).mode & 0o777, 0o755);
  t.equal((await stat(path.dirname(folder))).mode & 0o777, 0o700);
});

t.test('an error of ours passes as it is; a quota is a full disk', async (t) => {
  const own = new DormouseError('DEVICE_BUSY', 'x');
  t.equal(fileError('/x', own), own);
  t.match(fileError('/x', Object.assign(new Error('quota'), { code: 'EDQUOT' })), { code: 'DISK_FULL' });
  t.match(fileError('/x', Object.assign(new Error('no'), { code: 'EACCES' })), {
    code: 'DATA_DIR_UNWRITABLE',
    detail: /EACCES/,
  });
  t.match(fileError('/x', 'text'), { code: 'DATA_DIR_UNWRITABLE', detail: /text/ });
});

t.test('what cannot be looked at is not taken for absent', async (t) => {
  const folder = path.join(dir, 'there');
  await mkdir(folder);
  t.equal(await exists(folder), true);
  t.equal(await exists(path.join(dir, 'nowhere', 'file')), false);
  const loop = path.join(dir, 'loop');
  await symlink(loop, loop);
  await t.rejects(exists(loop), { code: 'DATA_DIR_UNWRITABLE', cause: { code: 'ELOOP' } });
});
