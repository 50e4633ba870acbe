import { readdir } from 'node:fs/promises';
import path from 'node:path';
import { gzipSync } from 'node:zlib';
import { execa } from 'execa';
import t from 'tap';
import { MIB, tempFolder } from '../support.ts';
import { importer, needsRoot, SHELL, tarOf } from './support.ts';

/** Processes whose arguments name the folder. */
async function processesIn(folder: string): Promise<string[]> {
  const { stdout } = await execa('ps', ['-eo', 'args']);
  return stdout.split('\n').filter((line) => line.includes(folder));
}

t.test('a build that is cancelled leaves nothing, at whatever stage it is', needsRoot, async (t) => {
  const source = gzipSync(await tarOf([SHELL, { name: 'large', content: Buffer.alloc(8 * MIB, 'x') }]));
  for (const stage of ['checking', 'unpacking', 'making the file system'])
    await t.test(stage, async (t) => {
      const { build, left, folder, imagePath } = await importer(t);
      const stop = new AbortController();
      const reason = new Error(`enough of ${stage}`);
      const progress = (line: { stage: string }): void => {
        if (line.stage === stage) stop.abort(reason);
      };
      await t.rejects(build(source, { signal: stop.signal, progress }), reason);
      t.same(await left(), []);
      t.same(await readdir(path.dirname(imagePath)), []);
      t.same(await processesIn(folder), []);
    });
  const { build, left } = await importer(t);
  const reason = new Error('too late');
  await t.rejects(build(source, { signal: AbortSignal.abort(reason) }), reason);
  t.same(await left(), []);
});

t.test('a file system that is full is told as that, and left empty', needsRoot, async (t) => {
  const { build, left } = await importer(t);
  const full = await tempFolder(t);
  await execa('mount', ['-t', 'tmpfs', '-o', 'size=4m', 'tmpfs', full]);
  t.teardown(() => execa('umount', [full]));
  const source = await tarOf([SHELL, { name: 'large', content: Buffer.alloc(8 * MIB, 'x') }]);
  await t.rejects(build(source, { workDir: path.join(full, 'work') }), { code: 'DISK_FULL' });
  t.same(await readdir(path.join(full, 'work')), []);
  await t.rejects(build(source, { imagePath: path.join(full, 'image') }), { code: 'DISK_FULL' });
  t.same(await readdir(full), ['work']);
  t.same(await left(), []);
});

t.test('capabilities that the file system cannot keep are not lost without a word', needsRoot, async (t) => {
  const { build, left } = await importer(t);
  const folder = await tempFolder(t);
  await execa('mount', ['-t', 'ramfs', 'ramfs', folder]);
  t.teardown(() => execa('umount', [folder]));
  const source = await tarOf([SHELL, { name: 'ping', content: 'x', pax: { 'SCHILY.xattr.user.x': 'y' } }]);
  await t.rejects(build(source, { workDir: path.join(folder, 'work') }), {
    code: 'DISK_FAILED',
    detail: /extended attribute/,
  });
  t.same(await readdir(path.join(folder, 'work')), []);
  t.same(await left(), []);
});

t.test('progress tells of each stage, seldom, and what of how much is done', needsRoot, async (t) => {
  const { build, lines } = await importer(t);
  const source = await tarOf([SHELL, { name: 'large', content: Buffer.alloc(8 * MIB, 'x') }]);
  let nowMs = 0;
  await build(source, { clock: { monotonicMs: () => (nowMs += 100) } });
  t.same([...new Set(lines.map(({ stage }) => stage))], ['checking', 'unpacking', 'making the file system']);
  const checking = lines.filter(({ stage }) => stage === 'checking');
  t.match(checking[0], { done_bytes: 0, total_bytes: source.length });
  t.ok(checking.length > 2 && checking.every(({ done_bytes }) => (done_bytes ?? -1) <= source.length));
  t.match(lines.at(-1), { done_bytes: null, total_bytes: null });
  lines.length = 0;
  await build(source, { clock: { monotonicMs: () => 0 } });
  t.equal(lines.length, 3, 'one for each stage when no time passes');
});
