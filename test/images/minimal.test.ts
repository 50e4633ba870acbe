import { mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { execa } from 'execa';
import t from 'tap';
import { hasCode } from '../../src/errors/index.ts';
import { buildMinimalImage } from '../../src/images/minimal.ts';

const MIB = 2 ** 20;
const DEFAULT_SIZE_MB = 20480;
const env = { PATH: `${process.env.PATH}:/usr/sbin:/sbin` };

const folder = await mkdtemp(path.join(os.tmpdir(), 'dormouse-test-minimal-'));
t.teardown(() => rm(folder, { recursive: true, force: true }));
const imagePath = path.join(folder, 'minimal.ext4');
const { signal } = new AbortController();

async function debugfs(image: string, command: string): Promise<string> {
  return (await execa('debugfs', ['-R', command, image], { env })).stdout;
}

t.test('the image is large for the guest, small on the host, and consistent', async (t) => {
  await buildMinimalImage({ imagePath, sizeMb: DEFAULT_SIZE_MB, signal });
  const { size, blocks } = await stat(imagePath);
  t.equal(size, DEFAULT_SIZE_MB * MIB);
  t.ok(blocks * 512 < 16 * MIB, `takes ${blocks * 512} bytes`);
  await execa('e2fsck', ['-fn', imagePath], { env });
  const left = (await readdir(folder)).filter((name) => name !== 'minimal.ext4');
  t.same(left, [], 'no temporary file is left');
});

t.test('a guest that mounts it has no inode tables to zero', async (t) => {
  const { stdout } = await execa('dumpe2fs', [imagePath], { env });
  const groups = stdout.split('\n').filter((line) => /^Group \d+:/.test(line));
  t.ok(groups.length >= 160, `${groups.length} block groups`);
  t.same(
    groups.filter((line) => !line.includes('ITABLE_ZEROED')),
    [],
  );
  t.match(stdout, /Reserved block count: +0\n/);
});

t.test('it holds busybox, its programs, and the accounts', async (t) => {
  const program = await debugfs(imagePath, 'stat /bin/busybox');
  t.match(program, /Type: regular +Mode: +0755/);
  t.match(await debugfs(imagePath, 'stat /bin/sh'), /Fast link dest: "\/bin\/busybox"/);
  t.match(await debugfs(imagePath, 'stat /usr/bin/env'), /Type: symlink/);
  t.match(await debugfs(imagePath, 'cat /etc/passwd'), /^user:x:1000:1000:user:\/home\/user:\/bin\/sh$/m);
  t.match(await debugfs(imagePath, 'stat /home/user'), /User: +1000 +Group: +1000/);
  t.match(await debugfs(imagePath, 'stat /etc/shadow'), /Mode: +0600[\s\S]*User: +0 +Group: +0/);
  t.match(await debugfs(imagePath, 'stat /tmp'), /Mode: +01777/);
  t.match(program, /mtime: 0x00000000/, 'times do not depend on when it was made');
});

t.test('every image has an identity of its own, and replaces the one before as a whole', async (t) => {
  const uuid = async (): Promise<string | undefined> =>
    /UUID: +(\S+)/.exec((await execa('dumpe2fs', ['-h', imagePath], { env })).stdout)?.[1];
  const before = await uuid();
  await buildMinimalImage({ imagePath, sizeMb: 128, signal });
  t.not(await uuid(), before);
  t.equal((await stat(imagePath)).size, 128 * MIB);
});

t.test('what cannot be made leaves nothing behind', async (t) => {
  const place = path.join(folder, 'bad');
  const small = await buildMinimalImage({ imagePath: path.join(place, 'x'), sizeMb: 1, signal }).catch(
    (error: unknown) => error,
  );
  t.ok(hasCode(small, 'INVALID_SIZE'), String(small));

  const reason = new Error('enough');
  const aborted = AbortSignal.abort(reason);
  await t.rejects(
    buildMinimalImage({ imagePath: path.join(place, 'y'), sizeMb: 128, signal: aborted }),
    reason,
  );

  const running = new AbortController();
  const building = buildMinimalImage({
    imagePath: path.join(place, 'z'),
    sizeMb: DEFAULT_SIZE_MB,
    signal: running.signal,
  });
  running.abort(reason);
  await t.rejects(building, reason);
  t.same(await readdir(place).catch(() => []), []);

  const file = path.join(folder, 'file');
  await writeFile(file, '');
  const unwritable = await buildMinimalImage({ imagePath: path.join(file, 'x'), sizeMb: 128, signal }).catch(
    (error: unknown) => error,
  );
  t.ok(hasCode(unwritable, 'DATA_DIR_UNWRITABLE'), String(unwritable));
});
