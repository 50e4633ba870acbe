import { randomBytes } from 'node:crypto';
import { mkdir, open, stat, truncate, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { execa } from 'execa';
import t from 'tap';
import { CHUNK_BYTES, cowBytes } from '../../../src/drivers/disk/device-mapper/cow-size.ts';
import { deviceName } from '../../../src/drivers/disk/device-mapper/names.ts';
import { allocatedBytes } from '../../../src/drivers/disk/files.ts';
import type { DiskRef } from '../../../src/drivers/disk/index.ts';
import { type DiskLab, diskLab, limit, loops, pattern, read, tables, write } from '../lab.ts';

/** Full, failing and flattened disks. */

const MB = 2 ** 20;
const DM = { env: { DM_DISABLE_UDEV: '1' } };

/** A disk whose every block was written, in an order by chance. Returns what was written. */
async function writeAll(node: string, bytes: number): Promise<Buffer> {
  const data = randomBytes(bytes);
  const chunks = Array.from({ length: bytes / CHUNK_BYTES }, (_, index) => index);
  for (let index = chunks.length - 1; index > 0; index -= 1) {
    const other = Math.floor(Math.random() * (index + 1));
    [chunks[index], chunks[other]] = [chunks[other] ?? 0, chunks[index] ?? 0];
  }
  const handle = await open(node, 'r+');
  try {
    for (const chunk of chunks)
      await handle.write(data, chunk * CHUNK_BYTES, CHUNK_BYTES, chunk * CHUNK_BYTES);
    await handle.sync();
  } finally {
    await handle.close();
  }
  return data;
}

const condition = async (disk: DiskRef): Promise<string> =>
  (await execa('dmsetup', ['status', deviceName(disk.sandboxId)])).stdout.split(' ').slice(3).join(' ');

t.test('a disk takes everything that a guest can write to it', async (t) => {
  const lab = await diskLab(t);
  const imagePath = await lab.image('base', 1);
  // 256 blocks fill one area exactly; the kernel needs the next one all the same. The others end in the middle of one.
  for (const sizeMb of [1, 3, 17]) {
    const disk = lab.disk();
    await lab.driver.create({ ...disk, imagePath, sizeMb }, limit());
    const { path: node } = await lab.driver.attach(disk, limit());
    const data = await writeAll(node, sizeMb * MB);
    const usage = await lab.driver.usage(disk);
    t.ok(usage.snapshot, `${sizeMb} MiB: ${await condition(disk)}`);
    await lab.driver.detach(disk, limit());
    await lab.driver.attach(disk, limit());
    t.ok((await read(node, 0, sizeMb * MB)).equals(data), 'all of it is there after it was detached');
    await lab.driver.remove(disk, limit());
  }
});

t.test('with one block less it would be lost: the size is as small as it can be', async (t) => {
  const lab = await diskLab(t);
  const imagePath = await lab.image('base', 1);
  for (const sizeMb of [1, 3]) {
    const disk = lab.disk();
    await lab.driver.create({ ...disk, imagePath, sizeMb }, limit());
    await truncate(path.join(disk.dir, 'cow'), cowBytes(sizeMb * 2048) - CHUNK_BYTES);
    const { path: node } = await lab.driver.attach(disk, limit());
    await writeAll(node, sizeMb * MB).catch(() => {});
    t.match(await condition(disk), /^(Invalid|Overflow)/);
    await t.rejects(lab.driver.check(disk), { code: 'DISK_LOST' });
    await t.rejects(lab.driver.usage(disk), { code: 'DISK_LOST' });
    t.match(await lab.driver.lost(), new Map([[disk.sandboxId, { code: 'DISK_LOST' }]]));
    await lab.driver.detach(disk, limit());
    await t.rejects(
      lab.driver.attach(disk, limit()),
      { code: 'DISK_LOST' },
      'it is told from the file alone',
    );
    t.same(await tables(), {});
    t.same(await loops(lab.dir), []);
    await lab.driver.remove(disk, limit());
  }
});

/** A file system of its own under a sandbox's folder, on a device whose table can be changed. */
async function ownFileSystem(
  lab: DiskLab,
  disk: DiskRef,
  mb: number,
): Promise<{ set(table: string): Promise<void>; loop: string; sectors: number; undo(): Promise<void> }> {
  const file = path.join(lab.dir, `below-${disk.sandboxId}`);
  await writeFile(file, '');
  await truncate(file, mb * MB);
  const { stdout: loop } = await execa('losetup', ['--find', '--show', file]);
  const name = `below-${disk.sandboxId}`;
  const sectors = mb * 2048;
  await execa('dmsetup', ['create', name], { ...DM, input: `0 ${sectors} linear ${loop} 0\n` });
  await execa('mkfs.ext4', ['-q', '-O', '^has_journal', `/dev/mapper/${name}`]);
  await mkdir(disk.dir, { recursive: true });
  await execa('mount', [`/dev/mapper/${name}`, disk.dir]);
  return {
    loop,
    sectors,
    async set(table) {
      await execa('dmsetup', ['suspend', '--noflush', '--nolockfs', name], DM);
      await execa('dmsetup', ['load', name], { ...DM, input: table });
      await execa('dmsetup', ['resume', name], DM);
    },
    async undo() {
      await execa('umount', ['--lazy', disk.dir]);
      await execa('dmsetup', ['remove', '--retry', name], DM);
      await execa('losetup', ['--detach', loop]);
    },
  };
}

for (const { fault, table } of [
  { fault: 'dm-flakey: writes fail', table: 'flakey LOOP 0 0 60 1 error_writes' },
  { fault: 'dm-error: everything fails', table: 'error' },
])
  t.test(`errors under a copy-on-write file, ${fault}: that disk is lost, and no other`, async (t) => {
    const lab = await diskLab(t);
    const imagePath = await lab.image('base', 4);
    const [bad, good] = [lab.disk(), lab.disk()];
    const below = await ownFileSystem(lab, bad, 32);
    for (const disk of [bad, good]) {
      await lab.driver.create({ ...disk, imagePath, sizeMb: 4 }, limit());
      await lab.driver.attach(disk, limit());
    }
    const node = (disk: DiskRef): string => `/dev/mapper/${deviceName(disk.sandboxId)}`;
    await write(node(bad), 0, pattern('mine', 0));
    await below.set(`0 ${below.sectors} ${table.replace('LOOP', below.loop)}\n`);
    await t.rejects(write(node(bad), 2 * MB, pattern('mine', 2)), { code: 'EIO' });
    t.same([...(await lab.driver.lost()).keys()], [bad.sandboxId]);
    await t.rejects(lab.driver.check(bad), { code: 'DISK_LOST' });
    await write(node(good), 2 * MB, pattern('mine', 2));
    t.ok((await read(node(good), 2 * MB, MB)).equals(pattern('mine', 2)), 'the other one goes on');
    await lab.driver.detach(bad, limit());
    t.same(
      Object.keys(await tables()).filter((name) => name.startsWith('dormouse-')),
      [deviceName(good.sandboxId)],
    );
    await lab.driver.check(good);
    await below.undo();
  });

t.test('a clone that is lost on a full store is known as lost', async (t) => {
  const lab = await diskLab(t);
  const imagePath = await lab.image('base', 8);
  const image = path.join(lab.dir, 'store.xfs');
  const store = path.join(lab.dir, 'store');
  await mkdir(store);
  await writeFile(image, '');
  await truncate(image, 320 * MB);
  await execa('mkfs.xfs', ['-q', '-m', 'reflink=1', image]);
  await execa('mount', ['-o', 'loop', image, store]);
  t.teardown(() => execa('umount', [store]));
  const [first, clone] = [lab.disk(), lab.disk()].map((disk) => ({
    ...disk,
    dir: path.join(store, disk.sandboxId),
  })) as [DiskRef, DiskRef];
  await lab.driver.create({ ...first, imagePath, sizeMb: 8 }, limit());
  const { path: node } = await lab.driver.attach(first, limit());
  await write(node, 0, pattern('mine', 0));
  await lab.driver.detach(first, limit());
  await lab.driver.clone(first.dir, clone.dir, limit());
  const { path: cloned } = await lab.driver.attach(clone, limit());
  await execa('dd', ['if=/dev/zero', `of=${path.join(store, 'filler')}`, 'bs=64k'], { reject: false });
  await t.rejects(writeAll(cloned, 8 * MB), { code: 'EIO' });
  t.equal(await condition(clone), 'Invalid');
  await lab.driver.detach(clone, limit());
  await t.rejects(lab.driver.attach(clone, limit()), { code: 'DISK_LOST' }, 'the kernel could mark it');
  await lab.driver.attach(first, limit());
  await lab.driver.detach(first, limit());
  t.same(await tables(), {});
});

t.test('a file system that is full under a copy-on-write file', async (t) => {
  const lab = await diskLab(t);
  const imagePath = await lab.image('base', 8);
  const disk = lab.disk();
  const below = await ownFileSystem(lab, disk, 6);
  await lab.driver.create({ ...disk, imagePath, sizeMb: 8 }, limit());
  const { path: node } = await lab.driver.attach(disk, limit());
  await t.rejects(writeAll(node, 8 * MB), { code: 'EIO' });
  t.equal(await condition(disk), 'Invalid', 'it is lost for ever, whatever the table says of overflow');
  t.match(
    [...(await lab.driver.lost()).values()],
    [{ code: 'DISK_LOST', detail: /gave the disk up \(Invalid\)/ }],
  );
  await lab.driver.detach(disk, limit());
  await below.undo();
  t.same(await tables(), {});
});

t.test('a disk is written as an image of its own', async (t) => {
  const lab = await diskLab(t);
  const imagePath = path.join(lab.images, 'ext4');
  await execa('mke2fs', ['-q', '-F', '-t', 'ext4', imagePath, '64M']);
  const disk = lab.disk();
  const mount = path.join(lab.dir, 'mount');
  await mkdir(mount);
  await lab.driver.create({ ...disk, imagePath, sizeMb: 128 }, limit());
  const { path: node } = await lab.driver.attach(disk, limit());
  await execa('mount', [node, mount]);
  const content = randomBytes(3 * MB);
  await writeFile(path.join(mount, 'file'), content);
  await execa('umount', [mount]);

  const check = async (image: string): Promise<void> => {
    await execa('e2fsck', ['-fn', image]);
    const { size } = await stat(image);
    t.ok(size < 32 * MB, `it is as small as it goes: ${size} bytes`);
    t.ok((await allocatedBytes(image)) <= size);
    await execa('debugfs', ['-R', `dump /file ${image}.file`, image]);
    t.ok((await read(`${image}.file`, 0, 3 * MB)).equals(content));
  };
  await lab.driver.flatten(disk, path.join(lab.dir, 'attached.img'), limit(120_000));
  await check(path.join(lab.dir, 'attached.img'));
  t.same(
    Object.keys(await tables()),
    [deviceName(disk.sandboxId), `${deviceName(disk.sandboxId)}-origin`].sort(),
  );

  await lab.driver.detach(disk, limit());
  await lab.driver.flatten(disk, path.join(lab.dir, 'detached.img'), limit(120_000));
  await check(path.join(lab.dir, 'detached.img'));
  t.same(await tables(), {}, 'what it was read through is gone');
  t.same(await loops(lab.dir), []);

  const stop = new AbortController();
  const driver = lab.driverWith({
    shrink: async () => {
      stop.abort(new Error('no longer wanted'));
      stop.signal.throwIfAborted();
    },
  });
  const unwanted = path.join(lab.dir, 'unwanted.img');
  await t.rejects(driver.flatten(disk, unwanted, stop.signal), { message: 'no longer wanted' });
  for (const left of [unwanted, `${unwanted}.partial`, `${unwanted}.flat`]) await t.rejects(stat(left));
  t.same(await tables(), {});
  t.same(await loops(lab.dir), []);
});
