import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { execa } from 'execa';
import t from 'tap';
import { checkSpace, whileRoom } from '../../../src/actors/host/space.ts';
import { freeMbOf } from '../../../src/store/free.ts';
import { fakeClock } from '../../support/fake-clock.ts';
import { until } from './janitor-world.ts';

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

t.test('what writes much is given up before the sandboxes have no room', async (t) => {
  const clock = fakeClock();
  const caller = new AbortController();
  let free = 300;
  /** Ends with the reason of its signal, or when it is told to. */
  const writing = (work: Promise<string>) =>
    whileRoom(
      async () => free,
      marks,
      { clock, signal: caller.signal },
      (signal) =>
        Promise.race([
          work,
          new Promise<never>((_, reject) => signal.addEventListener('abort', () => reject(signal.reason))),
        ]),
    );
  t.equal(await writing(Promise.resolve('done')), 'done');
  t.same(clock.armed(), [], 'nothing is measured any more');

  const never = new Promise<string>(() => {});
  const filling = t.rejects(writing(never), { code: 'DISK_FULL', detail: /255 MiB left; 256 MiB are kept/ });
  await until(() => clock.armed().length > 0);
  free = 255;
  clock.advance(100);
  await filling;
  t.same(clock.armed(), []);

  free = 300;
  const left = t.rejects(writing(never), /the caller has gone/);
  caller.abort(new Error('the caller has gone'));
  await left;
  t.same(clock.armed(), []);
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
