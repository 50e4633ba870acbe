import { mkdir, mkdtemp, readFile, rm, stat, truncate, utimes, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import t, { type Test } from 'tap';
import { ownCowHeader } from '../../../../src/drivers/disk/device-mapper/cow-header.ts';
import {
  checkImage,
  findRecord,
  newRecord,
  RECORD_FILE,
  readRecord,
  sectorsOf,
  writeRecord,
} from '../../../../src/drivers/disk/device-mapper/record.ts';

/** The files of a disk, without a device. */

async function folder(t: Test): Promise<string> {
  const dir = await mkdtemp(path.join(os.tmpdir(), 'dm-files-'));
  t.teardown(() => rm(dir, { recursive: true, force: true }));
  return dir;
}

t.test('the header of a copy-on-write file', async (t) => {
  const dir = await folder(t);
  const header = async (...words: number[]): Promise<string> => {
    const file = path.join(dir, words.join('-') || 'empty');
    const bytes = Buffer.alloc(4096);
    for (const [index, word] of words.entries()) bytes.writeUInt32LE(word, index * 4);
    await writeFile(file, bytes);
    return file;
  };
  const magic = 0x70416e53;
  await ownCowHeader(await header());
  await ownCowHeader(await header(magic, 1, 1, 8));
  await t.rejects(ownCowHeader(await header(magic, 0, 1, 8)), { code: 'DISK_LOST', detail: /invalid/ });
  await t.rejects(ownCowHeader(await header(magic, 1, 1, 16)), { code: 'DISK_LOST', detail: /damaged/ });
  await t.rejects(ownCowHeader(await header(1)), { code: 'DISK_LOST', detail: /damaged/ });
  await t.rejects(ownCowHeader(path.join(dir, 'absent')), { code: 'DISK_FAILED' });
  const whole = await header(magic, 1, 1, 8, 5);
  const before = await readFile(whole);
  await ownCowHeader(whole);
  t.same(await readFile(whole), before, 'it is written as it is');
});

t.test('a new copy-on-write file stays empty until the kernel has it', async (t) => {
  const file = path.join(await folder(t), 'cow');
  await writeFile(file, '');
  await truncate(file, 2 ** 20);
  await ownCowHeader(file);
  t.equal((await stat(file)).blocks, 0);
});

t.test('what a disk says of itself', async (t) => {
  const dir = await folder(t);
  const image = path.join(dir, 'image');
  await writeFile(image, Buffer.alloc(2 ** 20));
  const record = await newRecord(image, 64);
  t.equal(sectorsOf(record), 64 * 2048);
  t.equal(await findRecord(dir), undefined);
  await t.rejects(readRecord(dir), { code: 'DISK_FAILED', detail: /no disk/ });
  await writeRecord(dir, record);
  t.same(await readRecord(dir), record);
  await checkImage(record);

  const { atime, mtime } = await stat(image);
  await utimes(image, atime, new Date(mtime.getTime() + 1));
  await t.rejects(checkImage(record), { code: 'IMAGE_CHANGED', data: { image } });
  await rm(image);
  await t.rejects(checkImage(record), { code: 'DISK_FAILED' });

  for (const damaged of ['', '{', '{"v":2}', JSON.stringify({ ...record, size_mb: -1 })]) {
    await writeFile(path.join(dir, RECORD_FILE), damaged);
    await t.rejects(findRecord(dir), { code: 'DISK_FAILED' });
  }
  await rm(path.join(dir, RECORD_FILE));
  await mkdir(path.join(dir, RECORD_FILE));
  await t.rejects(findRecord(dir), { code: 'DISK_FAILED' });
});
