import { mkdir, readdir, rename, rm, truncate, writeFile } from 'node:fs/promises';
import { execa } from 'execa';
import t from 'tap';
import { deviceName } from '../../../src/drivers/disk/device-mapper/names.ts';
import { newSandboxId } from '../../../src/ids.ts';
import { checksum, holdDevice, hostLab, SHAPE, transitionsUpTo } from '../host-lab.ts';
import { loops, tables } from '../lab.ts';

/** What goes wrong between a sandbox and its devices, and where that leads. Real virtual machines on real devices. */

const lab = await hostLab(t);
const DM = { env: { DM_DISABLE_UDEV: '1' } };

t.test('a device that is held open at a pause: the machine goes on, and nothing is lost', async (t) => {
  const id = await lab.sandbox(t);
  const before = [await tables(), await loops(lab.dataDir), await lab.host().ask('loops')];
  const letGo = await holdDevice(id);
  await t.rejects(lab.host().command(id, 'pause'), {
    code: 'DEVICE_BUSY',
    data: { tries: 6, open_by: [new RegExp(`process ${process.pid} `)] },
  });
  t.match(await lab.host().view(id), { state: 'running', last_error: { code: 'DEVICE_BUSY' } });
  const last = 'pausing.restarting→running';
  t.match((await transitionsUpTo(lab.dataDir, id, last)).slice(-3), [
    'pausing.stoppingVm→pausing.detachingDisk',
    'pausing.detachingDisk→pausing.restarting',
    last,
  ]);
  t.same(
    [await tables(), await loops(lab.dataDir), await lab.host().ask('loops')],
    before,
    'on the device that is still attached',
  );
  t.equal(await lab.written(id), 'kept');
  t.same(await lab.disagreements(), []);
  await letGo();
  t.match(await lab.host().command(id, 'pause'), { state: 'paused', last_error: null });
  t.same(await lab.disagreements(), []);
});

t.test('the same when the machine cannot be started again: the pause is finished later', async (t) => {
  const id = await lab.sandbox(t);
  const letGo = await holdDevice(id);
  await lab.arm({ point: 'relaunchVm begins', action: 'fail', always: true });
  await t.rejects(lab.host().command(id, 'pause'), { code: 'DEVICE_BUSY' });
  await lab.host().until(id, (view) => view?.state === 'stranded');
  t.ok(deviceName(id) in (await tables()));
  const origins = await lab.host().ask<Array<{ holders: string[] }>>('loops');
  t.ok(
    origins[0]?.holders.some((name) => name.includes(id)),
    'the origin is held as long as the device is there',
  );
  t.equal((await loops(lab.dataDir)).length, 2);
  const saved = await readdir(lab.folder(id, 'live'));
  for (const file of ['cow', 'disk.json', 'memory', 'device.state', 'meta.json'])
    t.ok(saved.includes(file), `${file} is kept`);
  // Tried again while it is still held, and still not given up.
  await lab.host().until(id, (view) => view?.step === 'detachingDisk');
  await lab.host().until(id, (view) => view?.state === 'stranded');
  t.same(await readdir(lab.folder(id, 'live')), saved);
  await letGo();
  await lab.host().until(id, (view) => view?.state === 'paused');
  await lab.disarm();
  t.same(await tables(), {});
  t.same(await loops(lab.dataDir), []);
  t.match(await lab.host().command(id, 'resume'), { state: 'running' });
  t.equal(await lab.written(id), 'kept');
  t.same(await lab.disagreements(), []);
});

t.test('a stale device of the same name at a resume: removed, then made', async (t) => {
  const id = await lab.sandbox(t);
  await lab.host().command(id, 'pause');
  const [origin, cow] = [lab.folder(id, 'stale-origin'), lab.folder(id, 'stale-cow')];
  for (const file of [origin, cow]) {
    await writeFile(file, '');
    await truncate(file, 2 ** 20);
  }
  const [below, above] = await Promise.all(
    [['--read-only', origin], [cow]].map(
      async (args) => (await execa('losetup', ['--find', '--show', ...args])).stdout,
    ),
  );
  await execa('dmsetup', ['create', deviceName(id)], {
    ...DM,
    input: `0 2048 snapshot ${below} ${above} P 8`,
  });
  t.match(await lab.host().command(id, 'resume'), { state: 'running' });
  t.match((await tables())[deviceName(id)], / snapshot .* PO 8$/);
  t.equal(await lab.written(id), 'kept');
  t.notOk(
    (await loops(lab.dataDir)).some(({ file }) => file === cow),
    'what it wrote to went with it',
  );
  await execa('losetup', ['--detach', below ?? '']);
  t.same(await lab.disagreements(), []);
});

t.test('the monitor is gone before a device is removed, always', async (t) => {
  const orders: string[] = [];
  const pass = async (what: string, run: () => Promise<unknown>): Promise<void> => {
    await lab.disarm();
    await run().catch(() => {});
    const passed = await lab.host().ask<string[]>('passed');
    const removed = passed.indexOf('dmsetup remove done');
    const gone = passed.lastIndexOf('monitor is gone', removed);
    if (removed >= 0) orders.push(`${what}: ${gone >= 0 ? 'the monitor first' : 'the device first'}`);
  };
  const id = await lab.sandbox(t);
  await pass('pause', () => lab.host().command(id, 'pause'));
  await lab.arm({ point: 'wakeGuest done', action: 'fail' });
  await pass('rollback of a resume', async () => {
    await lab.arm({ point: 'wakeGuest done', action: 'fail' });
    await lab.host().command(id, 'resume');
  });
  await lab.host().command(id, 'resume');
  await pass('crash', async () => {
    await execa('pkill', ['-KILL', '-f', `name ${id} `]);
    await lab.host().until(id, (view) => view?.state === 'crashed' && view.ledger.length === 1);
  });
  t.match(await lab.host().command(id, 'restart'), { state: 'running' });
  t.equal(await lab.written(id), 'kept', 'the disk of a crashed machine is kept');
  await pass('destroy', () => lab.host().command(id, 'destroy'));
  await pass('create that fails', async () => {
    await lab.arm({ point: 'welcomeGuest done', action: 'fail' });
    await lab.host().ask('create', { id: newSandboxId(), ...SHAPE });
  });
  t.same(orders, [
    'pause: the monitor first',
    'rollback of a resume: the monitor first',
    'crash: the monitor first',
    'destroy: the monitor first',
    'create that fails: the monitor first',
  ]);
  t.same(await lab.disagreements(), []);
});

t.test('what cannot be written or renamed: the sandbox stays usable, and nothing leaks', async (t) => {
  const id = await lab.sandbox(t);
  await t.test('a folder that takes no new file', async (t) => {
    await execa('chattr', ['+i', lab.folder(id, 'live')]);
    await t.rejects(lab.host().command(id, 'pause'), { code: 'DATA_DIR_UNWRITABLE' });
    await execa('chattr', ['-i', lab.folder(id, 'live')]);
    t.match(await lab.host().view(id), { state: 'running' });
    t.equal(await lab.written(id), 'kept');
    t.same(await lab.disagreements(), []);
  });
  await t.test('a snapshot that is in the way of the rename', async (t) => {
    await mkdir(lab.folder(id, 'snapshot', 'in-the-way'), { recursive: true });
    // An old snapshot is removed first. This one cannot be: ioctl_iflags(2) FS_IMMUTABLE_FL.
    await execa('chattr', ['+i', lab.folder(id, 'snapshot')]);
    await t.rejects(lab.host().command(id, 'pause'), { code: 'DATA_DIR_UNWRITABLE' });
    await execa('chattr', ['-i', lab.folder(id, 'snapshot')]);
    await rm(lab.folder(id, 'snapshot'), { recursive: true });
    t.match(await lab.host().view(id), { state: 'running' });
    t.equal(await lab.written(id), 'kept');
    t.same(await lab.disagreements(), []);
  });
  await t.test('a snapshot without its disk: the resume says so and can be tried again', async (t) => {
    await lab.host().command(id, 'pause');
    await rename(lab.folder(id, 'snapshot', 'cow'), lab.folder(id, 'elsewhere'));
    await t.rejects(lab.host().command(id, 'resume'), { code: 'DISK_FAILED' });
    t.match(await lab.host().view(id), { state: 'paused' });
    t.same(await lab.disagreements(), []);
    await rename(lab.folder(id, 'elsewhere'), lab.folder(id, 'snapshot', 'cow'));
    t.match(await lab.host().command(id, 'resume'), { state: 'running' });
    t.equal(await lab.written(id), 'kept');
  });
});

t.test('a resume that fails while waiting for the guest leaves the snapshot as it was', async (t) => {
  const id = await lab.sandbox(t);
  await lab.host().ask('exec', { id, cmd: '(while :; do date >> /log; sync; done) > /dev/null 2>&1 &' });
  await lab.host().command(id, 'pause');
  const files = ['cow', 'disk.json', 'memory', 'device.state', 'meta.json'];
  const sums = (): Promise<string[]> =>
    Promise.all(files.map((file) => checksum(lab.folder(id, 'snapshot', file))));
  const before = await sums();
  // The guest runs by then, and writes.
  await lab.arm({ point: 'wakeGuest done', action: 'fail' });
  await t.rejects(lab.host().command(id, 'resume'), { code: 'STEP_FAILED' });
  t.match(await lab.host().view(id), { state: 'paused' });
  t.same(await sums(), before, 'disk, memory and state are byte for byte what they were');
  t.notOk(deviceName(id) in (await tables()));
  t.match(await lab.host().command(id, 'resume'), { state: 'running' });
  t.equal(await lab.written(id), 'kept');
  t.same(await lab.disagreements(), []);
});
