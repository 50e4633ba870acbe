import { stat, utimes } from 'node:fs/promises';
import path from 'node:path';
import { execa } from 'execa';
import t from 'tap';
import { cowBytes } from '../../../src/drivers/disk/device-mapper/cow-size.ts';
import { dmsetup, failureOf } from '../../../src/drivers/disk/device-mapper/dmsetup.ts';
import { deviceName, nodeOf, originName } from '../../../src/drivers/disk/device-mapper/names.ts';
import { diskLab, hold, limit, loops, pattern, read, tables, write } from '../lab.ts';

const MB = 2 ** 20;

t.test('a disk from its beginning to its end', async (t) => {
  const lab = await diskLab(t);
  const imagePath = await lab.image('base', 8);
  const disk = lab.disk();
  const device = deviceName(disk.sandboxId);
  await lab.driver.create({ ...disk, imagePath, sizeMb: 8 }, limit());
  t.same(await tables(), {}, 'a disk is files until it is attached');

  const { path: node } = await lab.driver.attach(disk, limit());
  t.equal(node, nodeOf(device));
  const [origin] = (await loops(lab.dir)).filter(({ readOnly }) => readOnly);
  const [cow] = (await loops(lab.dir)).filter(({ readOnly }) => !readOnly);
  t.match(origin, { file: imagePath, readOnly: true });
  t.match(cow, { file: path.join(disk.dir, 'cow'), readOnly: false });
  const minor = (loop?: { device: string }): string => `7:${loop?.device.slice('/dev/loop'.length)}`;
  t.same(await tables(), { [device]: `0 16384 snapshot ${minor(origin)} ${minor(cow)} PO 8` });
  t.same(lab.registry.list()[0]?.holders, [device], 'the device holds the loop');

  t.ok((await read(node, 3 * MB, MB)).equals(pattern('base', 3)), 'it begins as the image');
  await write(node, 3 * MB, pattern('mine', 3));
  const usage = await lab.driver.usage(disk);
  t.equal(usage.sizeBytes, 8 * MB);
  t.match(usage.snapshot, { totalSectors: cowBytes(8 * 2048) / 512, metadataSectors: 24 });
  t.ok((usage.snapshot?.allocatedSectors ?? 0) >= 2048);
  t.ok(
    usage.allocatedBytes >= MB && usage.allocatedBytes < 3 * MB,
    `${usage.allocatedBytes} bytes are taken`,
  );

  await lab.driver.detach(disk, limit());
  t.same(await tables(), {});
  t.same(await loops(lab.dir), []);
  t.same(lab.registry.list(), []);
  t.ok((await read(imagePath, 3 * MB, MB)).equals(pattern('base', 3)), 'the image was not written to');

  await lab.driver.create({ ...disk, imagePath, sizeMb: 8 }, limit());
  await lab.driver.attach(disk, limit());
  t.ok((await read(node, 3 * MB, MB)).equals(pattern('mine', 3)), 'what was written is there again');
  t.ok((await read(node, 4 * MB, MB)).equals(pattern('base', 4)));
  await lab.driver.remove(disk, limit());
  await lab.driver.remove(disk, limit());
  t.same(await tables(), {});
  t.same(await loops(lab.dir), []);
});

t.test('disks of one image share its loop and nothing else', async (t) => {
  const lab = await diskLab(t);
  const imagePath = await lab.image('base', 4);
  const disks = Array.from({ length: 12 }, () => lab.disk());
  const nodes = await Promise.all(
    disks.map(async (disk) => {
      await lab.driver.create({ ...disk, imagePath, sizeMb: 4 }, limit());
      return (await lab.driver.attach(disk, limit(120_000))).path;
    }),
  );
  t.equal((await loops(lab.dir)).filter(({ readOnly }) => readOnly).length, 1);
  t.equal(lab.registry.list()[0]?.holders.length, disks.length);
  for (const [index, node] of nodes.entries()) await write(node, MB, pattern(`disk ${index}`, 1));
  for (const [index, node] of nodes.entries())
    t.ok((await read(node, MB, MB)).equals(pattern(`disk ${index}`, 1)));
  await Promise.all(disks.map((disk) => lab.driver.detach(disk, limit(120_000))));
  t.same(await tables(), {});
  t.same(await loops(lab.dir), []);
});

t.test('a disk that is larger than its image', async (t) => {
  const lab = await diskLab(t);
  const imagePath = await lab.image('base', 4);
  const disk = lab.disk();
  const device = deviceName(disk.sandboxId);
  await lab.driver.create({ ...disk, imagePath, sizeMb: 16 }, limit());
  const { path: node } = await lab.driver.attach(disk, limit());
  t.match((await tables())[originName(device)], /^0 8192 linear 7:\d+ 0\n8192 24576 zero $/);
  t.same(
    lab.registry.list()[0]?.holders,
    [originName(device)],
    'the device that stands on the loop holds it',
  );
  t.ok((await read(node, 3 * MB, MB)).equals(pattern('base', 3)));
  t.ok((await read(node, 4 * MB, 12 * MB)).equals(Buffer.alloc(12 * MB)), 'then there are zeros');
  await write(node, 15 * MB, pattern('mine', 15));
  await lab.driver.detach(disk, limit());
  t.same(await tables(), {});

  const larger = lab.disk();
  await lab.driver.clone(disk.dir, larger.dir, limit(), { sizeMb: 32 });
  const { path: clone } = await lab.driver.attach(larger, limit());
  t.ok((await read(clone, 15 * MB, MB)).equals(pattern('mine', 15)), 'a clone may be larger still');
  t.equal((await lab.driver.usage(larger)).sizeBytes, 32 * MB);
  await write(clone, 31 * MB, pattern('more', 31));
  await lab.driver.remove(larger, limit());
  t.same(await loops(lab.dir), []);
});

t.test('a disk cannot be smaller than its image', async (t) => {
  const lab = await diskLab(t);
  const imagePath = await lab.image('base', 4);
  const disk = lab.disk();
  await t.rejects(lab.driver.create({ ...disk, imagePath, sizeMb: 3 }, limit()), {
    code: 'INVALID_SIZE',
    data: { disk_size_mb: 3, image_size_mb: 4 },
  });
  t.equal(await lab.driver.imageOf(disk.dir), undefined);
});

t.test('what is attached already is used as it is', async (t) => {
  const lab = await diskLab(t);
  const imagePath = await lab.image('base', 4);
  const disk = lab.disk();
  await lab.driver.create({ ...disk, imagePath, sizeMb: 8 }, limit());
  const first = await lab.driver.attach(disk, limit());
  const before = await tables();
  const letGo = await hold(first.path);
  t.same(await lab.driver.attach(disk, limit()), first, 'even while somebody has it open');
  t.same(await tables(), before);
  t.equal(lab.registry.list()[0]?.holders.length, 1, 'and it counts once');
  await letGo();
});

t.test('a stale device of the same name is removed first', async (t) => {
  const lab = await diskLab(t);
  const imagePath = await lab.image('base', 4);
  const old = lab.disk();
  await lab.driver.create({ ...old, imagePath, sizeMb: 4 }, limit());
  await lab.driver.attach(old, limit());
  const fresh = { sandboxId: old.sandboxId, dir: path.join(lab.sandboxes, old.sandboxId, 'other') };
  const other = await lab.image('other', 4);
  await lab.driver.create({ ...fresh, imagePath: other, sizeMb: 4 }, limit());
  const { path: node } = await lab.driver.attach(fresh, limit());
  t.ok((await read(node, MB, MB)).equals(pattern('other', 1)));
  t.same(
    (await loops(lab.dir)).map(({ file }) => file).sort(),
    [other, path.join(fresh.dir, 'cow')].sort(),
    'its loops went with it',
  );
  t.equal(lab.registry.list().length, 1);
});

t.test('a device that is held open', async (t) => {
  const lab = await diskLab(t);
  const imagePath = await lab.image('base', 4);
  const disk = lab.disk();
  await lab.driver.create({ ...disk, imagePath, sizeMb: 4 }, limit());
  const { path: node } = await lab.driver.attach(disk, limit());
  const before = [await tables(), await loops(lab.dir), lab.registry.list()];
  const letGo = await hold(node);

  const started = performance.now();
  await t.rejects(lab.driver.detach(disk, limit()), {
    code: 'DEVICE_BUSY',
    data: {
      command: ['dmsetup', 'remove', deviceName(disk.sandboxId)],
      output: /remove ioctl on .* failed: Device or resource busy/,
      exit_status: 1,
      tries: 6,
      open_by: [new RegExp(`process ${process.pid} `)],
    },
  });
  t.ok(performance.now() - started >= 990, 'it was tried for a second');
  t.same([await tables(), await loops(lab.dir), lab.registry.list()], before, 'all is attached as before');

  const stop = new AbortController();
  const reason = new Error('no longer wanted');
  let tries = 0;
  const impatient = lab.driverWith({
    lane: async (label, operation, signal) => {
      tries += 1;
      if (tries === 2) stop.abort(reason);
      return await lab.lane.run(label, operation, signal);
    },
  });
  await t.rejects(impatient.detach(disk, stop.signal), reason, 'an abort is told as what it is');
  t.equal(tries, 2, 'and ends the tries');

  tries = 0;
  const patient = lab.driverWith({
    lane: async (label, operation, signal) => {
      tries += 1;
      if (tries === 3) await letGo();
      return await lab.lane.run(label, operation, signal);
    },
  });
  await patient.detach(disk, limit());
  t.same(await tables(), {}, 'when the holder lets go in time, it is removed');
  t.same(await loops(lab.dir), []);
});

t.test('errors are what their words say', async (t) => {
  const lab = await diskLab(t);
  const imagePath = await lab.image('base', 4);
  const disk = lab.disk();
  const device = deviceName(disk.sandboxId);
  await lab.driver.create({ ...disk, imagePath, sizeMb: 4 }, limit());
  await lab.driver.attach(disk, limit());
  const failure = (args: string[], table?: string) => dmsetup(args, table).then(() => 'none', failureOf);
  t.equal(
    await failure(['create', device], '0 8 zero\n'),
    'exists',
    'a name that is taken is not a busy device',
  );
  t.equal(await failure(['remove', 'dormouse-absent']), 'absent');
  t.equal(await failure(['table', 'dormouse-absent']), 'absent');
  t.equal(await failure(['status', 'dormouse-absent']), 'absent');
  t.equal(await failure(['create', 'dormouse-bad'], '0 8 snapshot /dev/absent /dev/absent P 8\n'), 'other');
  const asNobody = await execa('setpriv', ['--reuid=65534', '--clear-groups', 'dmsetup', 'remove', device], {
    reject: false,
    env: { LC_ALL: 'C' },
  });
  t.match(asNobody.stderr, 'Permission denied');
});

t.test('an origin that somebody detached is noticed', async (t) => {
  const lab = await diskLab(t);
  const imagePath = await lab.image('base', 4);
  const disk = lab.disk();
  await lab.driver.create({ ...disk, imagePath, sizeMb: 4 }, limit());
  // losetup succeeds, and dmsetup would make a disk of nothing.
  const driver = lab.driverWith({
    origins: {
      async acquire(image, holder) {
        const { device } = await lab.registry.acquire(image, holder, {
          commandId: 'c-1',
          deadlineMs: Date.now() + 10_000,
          signal: limit(),
        });
        await execa('losetup', ['-d', device]);
        return device;
      },
      release: async () => {},
      has: () => false,
    },
  });
  await t.rejects(driver.attach(disk, limit()), { code: 'LOOP_FAILED', data: { image: imagePath } });
  t.same(await tables(), {});
  t.same(await loops(lab.dir), []);
});

t.test('a copy-on-write file is never used through two loops', async (t) => {
  const lab = await diskLab(t);
  const imagePath = await lab.image('base', 4);
  const disk = lab.disk();
  const cow = path.join(disk.dir, 'cow');
  await lab.driver.create({ ...disk, imagePath, sizeMb: 4 }, limit());
  // A loop that an interrupted try left goes, and a new one is made.
  await execa('losetup', ['--find', cow]);
  await lab.driver.attach(disk, limit());
  t.equal((await loops(lab.dir)).filter(({ file }) => file === cow).length, 1);
  await lab.driver.detach(disk, limit());
  // One that somebody uses stays, and the disk is not attached.
  const { stdout: taken } = await execa('losetup', ['--find', '--show', cow]);
  await execa('dmsetup', ['create', 'stranger'], {
    input: `0 8 linear ${taken} 0\n`,
    env: { DM_DISABLE_UDEV: '1' },
  });
  await t.rejects(lab.driver.attach(disk, limit()), { code: 'DEVICE_BUSY', data: { file: cow } });
  t.same(Object.keys(await tables()), ['stranger']);
  await execa('dmsetup', ['remove', 'stranger'], { env: { DM_DISABLE_UDEV: '1' } });
});

t.test('a loop below a device detaches later, and only then the origin goes', async (t) => {
  const lab = await diskLab(t);
  const imagePath = await lab.image('base', 4);
  const disk = lab.disk();
  await lab.driver.create({ ...disk, imagePath, sizeMb: 4 }, limit());
  const { path: node } = await lab.driver.attach(disk, limit());
  const [origin] = (await loops(lab.dir)).filter(({ readOnly }) => readOnly);
  // Exit status 0, and the loop is there still: only looking again tells.
  await execa('losetup', ['-d', origin?.device ?? '']);
  t.equal((await loops(lab.dir)).length, 2);
  t.ok((await read(node, MB, MB)).equals(pattern('base', 1)));
  const by = { commandId: 'c-2', deadlineMs: Date.now() + 30_000, signal: limit() };
  await t.rejects(lab.registry.release(imagePath, deviceName(disk.sandboxId), by), { code: 'DEVICE_BUSY' });
  t.match(await lab.registry.leaks({ ...by, commandId: 'c-3' }), [
    { device: origin?.device, reason: 'still-open' },
  ]);
  await lab.driver.detach(disk, limit());
  t.same(await loops(lab.dir), [], 'it went with the device');
  await lab.driver.attach(disk, limit());
  t.ok((await read(node, MB, MB)).equals(pattern('base', 1)), 'and a new one is made');
});

t.test('an image that was changed is no origin any more', async (t) => {
  const lab = await diskLab(t);
  const imagePath = await lab.image('base', 4);
  const disk = lab.disk();
  await lab.driver.create({ ...disk, imagePath, sizeMb: 4 }, limit());
  const { atime, mtime } = await stat(imagePath);
  await utimes(imagePath, atime, new Date(mtime.getTime() + 1000));
  await t.rejects(lab.driver.attach(disk, limit()), { code: 'IMAGE_CHANGED', data: { image: imagePath } });
  await t.rejects(lab.driver.clone(disk.dir, lab.disk().dir, limit()), { code: 'IMAGE_CHANGED' });
  t.same(await tables(), {});
  t.same(await loops(lab.dir), []);
});

t.test('a host that starts knows the devices that are there', async (t) => {
  const lab = await diskLab(t);
  const imagePath = await lab.image('base', 4);
  const [kept, left] = [lab.disk(), lab.disk()];
  for (const disk of [kept, left]) {
    await lab.driver.create({ ...disk, imagePath, sizeMb: 8 }, limit());
    await lab.driver.attach(disk, limit());
  }
  const found = await lab.driver.list(lab.sandboxes);
  t.equal(found.length, 6, 'two devices and a loop for each');
  for (const device of found.filter(({ sandboxId }) => sandboxId === left.sandboxId))
    await lab.driver.clear(device, left.dir, limit());
  t.same(
    [...new Set((await lab.driver.list(lab.sandboxes)).map(({ sandboxId }) => sandboxId))],
    [kept.sandboxId],
  );
  t.same(await lab.driver.list(lab.images), await lab.driver.list(lab.images));
  t.same(lab.registry.list()[0]?.holders, [originName(deviceName(kept.sandboxId))]);
});
