import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { execa } from 'execa';
import t from 'tap';
import { checkSpace } from '../../../src/actors/host/space.ts';
import { freeMbOf } from '../../../src/store/free.ts';

const marks = { lowMb: 256, criticalMb: 128 };

t.test('below the low mark nothing is made', async (t) => {
  await checkSpace(async () => 256, marks);
  await t.rejects(
    checkSpace(async () => 255, marks),
    {
      code: 'DISK_FULL',
      detail: /255 MiB free; below 256 MiB/,
      data: { free_mb: 255, low_mb: 256 },
    },
  );
});

t.test(
  'the free space is what the file system says',
  process.getuid?.() === 0 ? {} : { skip: 'mounting needs root' },
  async (t) => {
    const dir = await mkdtemp(path.join(os.tmpdir(), 'dormouse-space-'));
    t.teardown(() => rm(dir, { recursive: true, force: true }));
    const store = path.join(dir, 'store');
    await mkdir(store);
    await execa('mount', ['-t', 'tmpfs', '-o', 'size=255m', 'tmpfs', store]);
    t.teardown(async () => void (await execa('umount', [store])));
    await t.rejects(
      checkSpace(() => freeMbOf(store), marks),
      { code: 'DISK_FULL' },
    );
    await execa('mount', ['-o', 'remount,size=256m', store]);
    await checkSpace(() => freeMbOf(store), marks);
  },
);
