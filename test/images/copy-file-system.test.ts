import { mkdir, mkdtemp, rm, stat, truncate, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { execa } from 'execa';
import t from 'tap';
import { copyFileSystem } from '../../src/images/copy-file-system.ts';

/** Copies of file systems that are mostly empty. */

const dir = await mkdtemp(path.join(os.tmpdir(), 'dormouse-copy-'));
t.teardown(() => rm(dir, { recursive: true, force: true }));
const limit = (): AbortSignal => AbortSignal.timeout(60_000);

t.test('all that is in it, and none of what is not', async (t) => {
  const [tree, image, copy] = ['tree', 'image', 'copy'].map((name) => path.join(dir, name)) as [
    string,
    string,
    string,
  ];
  await mkdir(tree);
  const content = Buffer.alloc(3 * 2 ** 20, 'content ');
  await writeFile(path.join(tree, 'file'), content);
  await execa('mke2fs', ['-q', '-F', '-t', 'ext4', '-d', tree, image, '4096M']);
  t.equal(await copyFileSystem(image, copy, limit()), true);
  t.equal((await stat(copy)).size, 4096 * 2 ** 20);
  t.ok((await stat(copy)).blocks * 512 < 200 * 2 ** 20, 'the copy is sparse');
  const read = await execa('debugfs', ['-R', 'cat /file', copy], { encoding: 'buffer' });
  t.ok(content.equals(Buffer.from(read.stdout)));
  t.equal((await execa('e2fsck', ['-fn', copy], { reject: false })).exitCode, 0);
});

t.test('what is no ext4 file system is left alone', async (t) => {
  const other = path.join(dir, 'other');
  await writeFile(other, 'text');
  await truncate(other, 2 ** 20);
  t.equal(await copyFileSystem(other, path.join(dir, 'none'), limit()), false);
  await t.rejects(stat(path.join(dir, 'none')), { code: 'ENOENT' });
});
