import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import t from 'tap';
import { hasCode } from '../../src/errors/index.ts';
import { installGuestAssets } from '../../src/images/guest-assets.ts';

const folder = await mkdtemp(path.join(os.tmpdir(), 'dormouse-test-assets-'));
t.teardown(() => rm(folder, { recursive: true, force: true }));

/** Fills a folder as the set-up does. */
async function makeAssets(name: string, kernel: string, initrd: string): Promise<string> {
  const dir = path.join(folder, name);
  await mkdir(dir);
  const hash = createHash('sha256').update(kernel).update(initrd).digest('hex');
  await writeFile(path.join(dir, 'vmlinux'), kernel);
  await writeFile(path.join(dir, 'initrd.cpio'), initrd);
  await writeFile(path.join(dir, 'manifest.json'), JSON.stringify({ hash }));
  return dir;
}

const failure = (promise: Promise<unknown>): Promise<unknown> => promise.catch((error: unknown) => error);

t.test('files are installed once, and stay when newer ones come', async (t) => {
  const kernelDir = path.join(folder, 'data', 'kernel');
  const first = await installGuestAssets(await makeAssets('one', 'kernel 1', 'initrd 1'), kernelDir);
  t.equal(await readFile(first.kernelPath, 'utf8'), 'kernel 1');
  t.equal(await readFile(first.initrdPath, 'utf8'), 'initrd 1');
  const { ino } = await stat(first.kernelPath);
  t.same(await installGuestAssets(path.join(folder, 'one'), kernelDir), first);
  t.equal((await stat(first.kernelPath)).ino, ino, 'not written again');

  const second = await installGuestAssets(await makeAssets('two', 'kernel 1', 'initrd 2'), kernelDir);
  t.not(second.initrdPath, first.initrdPath);
  t.equal(await readFile(first.initrdPath, 'utf8'), 'initrd 1');
  t.equal((await readdir(kernelDir)).length, 2, 'two pairs and no temporary folder');
});

t.test('several processes at once install one pair', async (t) => {
  const from = await makeAssets('shared', 'k', 'i');
  const kernelDir = path.join(folder, 'shared-data');
  const all = await Promise.all(Array.from({ length: 8 }, () => installGuestAssets(from, kernelDir)));
  t.equal(new Set(all.map(({ kernelPath }) => kernelPath)).size, 1);
  t.equal((await readdir(kernelDir)).length, 1);
});

t.test('what the set-up has not finished is refused and leaves nothing', async (t) => {
  const kernelDir = path.join(folder, 'refused');
  const missing = await failure(installGuestAssets(path.join(folder, 'nowhere'), kernelDir));
  t.ok(hasCode(missing, 'DEPENDENCY_MISSING'), String(missing));

  const torn = await makeAssets('torn', 'k', 'i');
  await writeFile(path.join(torn, 'vmlinux'), 'another');
  const mixed = await failure(installGuestAssets(torn, kernelDir));
  t.ok(hasCode(mixed, 'DEPENDENCY_MISSING'), String(mixed));

  const half = await makeAssets('half', 'k2', 'i2');
  await rm(path.join(half, 'initrd.cpio'));
  t.ok(hasCode(await failure(installGuestAssets(half, kernelDir)), 'DEPENDENCY_MISSING'));
  t.same(await readdir(kernelDir), []);
});
