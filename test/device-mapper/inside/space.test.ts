import { mkdir, mkdtemp, rm, statfs, truncate, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { execa } from 'execa';
import t from 'tap';
import { newSandboxId } from '../../../src/ids.ts';
import { hostLab, SHAPE } from '../host-lab.ts';

/** A store that fills up, and a disk that cannot grow: the host and its other sandboxes go on. */

const STORE_MB = 2048;
const LOW_MB = 400;
const CRITICAL_MB = 300;
const dataDir = await mkdtemp(path.join(os.tmpdir(), 'dms-'));
const image = `${dataDir}.store`;
const store = path.join(dataDir, 'store');
await mkdir(store);
await writeFile(image, '');
await truncate(image, STORE_MB * 2 ** 20);
await execa('mkfs.xfs', ['-q', '-m', 'reflink=1', image]);
// With project quotas, so that one sandbox alone can be without space.
await execa('mount', ['-o', 'loop,prjquota', image, store]);
t.teardown(async () => {
  await execa('umount', [store]);
  await rm(image);
  await rm(dataDir, { recursive: true });
});
const lab = await hostLab(
  t,
  { DORMOUSE_DISK_LOW_MB: String(LOW_MB), DORMOUSE_DISK_CRITICAL_MB: String(CRITICAL_MB) },
  dataDir,
);

t.test('a disk that cannot grow: its sandbox crashes, and the others never notice', async (t) => {
  const [poor, other] = [await lab.sandbox(t), await lab.sandbox(t)];
  await execa('xfs_quota', ['-x', '-c', `project -s -p ${lab.folder(poor, 'live')} 42`, store]);
  const used = Number((await execa('du', ['-sm', lab.folder(poor, 'live')])).stdout.split('\t')[0]);
  await execa('xfs_quota', ['-x', '-c', `limit -p bhard=${used + 24}m 42`, store]);
  await lab
    .host()
    .ask('exec', { id: poor, cmd: 'dd if=/dev/urandom of=/big bs=1M count=96; sync' })
    .catch(() => {});
  const view = await lab.host().until(poor, (now) => now?.state === 'crashed' && now.step !== 'cleaning');
  t.match(view?.last_error, { code: 'DISK_LOST' });
  t.equal(await lab.written(other), 'kept');
  t.same(await lab.disagreements(), []);
  await t.rejects(lab.host().command(poor, 'restart'), { code: 'DISK_LOST' });
  t.match(await lab.host().view(poor), { state: 'crashed' }, 'a restart says so too');
  await lab.host().command(poor, 'destroy');
  t.same(await lab.disagreements(), []);
});

t.test(
  'a store that fills up: what runs is paused before it is full, and goes on when there is room',
  async (t) => {
    const ids = [await lab.sandbox(t), await lab.sandbox(t)];
    const filler = path.join(store, 'filler');
    const { bavail, bsize } = await statfs(store);
    const freeMb = Math.floor((bavail * bsize) / 2 ** 20);
    await execa('fallocate', ['--length', `${freeMb - CRITICAL_MB + 20}MiB`, filler]);
    for (const id of ids) await lab.host().until(id, (view) => view?.state === 'paused', 60_000);
    t.same(await lab.disagreements(), []);
    await t.rejects(lab.host().ask('create', { id: newSandboxId(), ...SHAPE }), { code: 'DISK_FULL' });
    await t.rejects(lab.host().command(ids[0] ?? '', 'resume'), { code: 'DISK_FULL' });
    t.match(await lab.host().view(ids[0] ?? ''), { state: 'paused' });
    await rm(filler);
    for (const id of ids) {
      t.match(await lab.host().command(id, 'resume'), { state: 'running' });
      t.equal(await lab.written(id), 'kept');
    }
    t.same(await lab.disagreements(), []);
  },
);
