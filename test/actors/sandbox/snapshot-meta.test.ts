import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import t, { type Test } from 'tap';
import {
  checkSynced,
  markSynced,
  readMeta,
  removeMeta,
  type SnapshotMeta,
  writeMeta,
} from '../../../src/actors/sandbox/snapshot-meta.ts';
import { META_FILE } from '../../../src/paths.ts';

async function folder(t: Test): Promise<string> {
  const dir = await mkdtemp(path.join(os.tmpdir(), 'dormouse-meta-'));
  t.teardown(() => rm(dir, { recursive: true, force: true }));
  return dir;
}
const meta = (changes: Partial<SnapshotMeta> = {}): SnapshotMeta => ({
  v: 1,
  sandbox_id: 'sb-aaaaaaaaaaaaaaaaaaaa',
  created_at: '2026-01-01T00:00:00.000Z',
  vcpus: 1,
  memory_mb: 256,
  disk_size_mb: 1024,
  mac: '02:64:00:00:00:01',
  hostname: 'sb-aaaaaaaaaaaaaaaaaaaa',
  token: 'ab'.repeat(32),
  kernel_path: '/kernel',
  initrd_path: '/initrd',
  boot_id: 'another boot',
  ...changes,
});
/** random(4): a new one for each boot of the host. */
const thisBoot = (await readFile('/proc/sys/kernel/random/boot_id', 'utf8')).trim();
const invalid = { code: 'SNAPSHOT_INVALID' };

t.test('what was written is read back; its token is for its owner only', async (t) => {
  const dir = await folder(t);
  await writeMeta(dir, meta());
  t.same(await readMeta(dir), meta());
  t.equal((await stat(path.join(dir, META_FILE))).mode & 0o777, 0o600);
  t.same(await readdir(dir), [META_FILE]);
});

t.test('what is missing, cut or something else is no snapshot', async (t) => {
  const dir = await folder(t);
  await t.rejects(readMeta(dir), invalid);
  await t.rejects(readMeta(path.join(dir, 'nowhere')), invalid);
  await writeMeta(dir, meta());
  const whole = await readFile(path.join(dir, META_FILE), 'utf8');
  for (const length of [0, 1, Math.floor(whole.length / 2), whole.length - 1]) {
    await writeFile(path.join(dir, META_FILE), whole.slice(0, length));
    await t.rejects(readMeta(dir), invalid, `${length} characters`);
  }
  for (const other of [
    'null',
    '{}',
    '[]',
    JSON.stringify({ ...meta(), v: 2 }),
    JSON.stringify({ ...meta(), token: null }),
  ]) {
    await writeFile(path.join(dir, META_FILE), other);
    await t.rejects(readMeta(dir), invalid, other.slice(0, 20));
  }
});

t.test('a folder that is written to again does not look like a snapshot', async (t) => {
  const dir = await folder(t);
  await writeMeta(dir, meta());
  await markSynced(dir);
  await writeFile(path.join(dir, 'memory'), 'x');
  await removeMeta(dir);
  await removeMeta(dir);
  t.same(await readdir(dir), ['memory']);
  await t.rejects(readMeta(dir), invalid);
  await t.rejects(checkSynced(dir, meta()), invalid);
});

t.test('memory of an earlier boot of the host is good only if it had reached the disk', async (t) => {
  const dir = await folder(t);
  await checkSynced(dir, meta({ boot_id: thisBoot }));
  t.pass('of this boot: the page cache has it');
  await t.rejects(checkSynced(dir, meta()), {
    ...invalid,
    detail: /lost power.*disk of the sandbox is kept/,
  });
  await markSynced(dir);
  await checkSynced(dir, meta());
  t.pass('marked: the disk has it');
});

t.test('a mark of before does not count for a memory that is saved anew', async (t) => {
  const dir = await folder(t);
  await markSynced(dir);
  await writeMeta(dir, meta());
  await t.rejects(checkSynced(dir, meta()), invalid);
});
