import { open, readFile, stat } from 'node:fs/promises';
import path from 'node:path';
import t from 'tap';
import { cowBytes } from '../../../src/drivers/disk/device-mapper/cow-size.ts';
import { diskLab, limit, loops, pattern, read, tables, write } from '../lab.ts';

/** Copies of disks that are attached, and disks that grow. */

const MB = 2 ** 20;

t.test('an attached disk is copied with what has not reached its file', async (t) => {
  const lab = await diskLab(t);
  const imagePath = await lab.image('base', 8);
  const disk = lab.disk();
  await lab.driver.create({ ...disk, imagePath, sizeMb: 16 }, limit());
  const { path: node } = await lab.driver.attach(disk, limit());
  // As a monitor does: it has the device open, and does not wait for its writes.
  const monitor = await open(node, 'r+');
  await monitor.write(pattern('early', 3), 0, MB, 3 * MB);
  await monitor.write(pattern('early', 15), 0, MB, 15 * MB);
  const before = await tables();
  const copy = lab.disk();
  await lab.driver.capture(disk, copy.dir, limit());
  t.same(await tables(), before, 'the device is as it was');
  await monitor.write(pattern('late', 3), 0, MB, 3 * MB);
  await monitor.sync();

  const { path: copied } = await lab.driver.attach(copy, limit());
  t.ok((await read(copied, 3 * MB, MB)).equals(pattern('early', 3)));
  t.ok((await read(copied, 15 * MB, MB)).equals(pattern('early', 15)), 'beyond the image, too');
  t.ok((await read(copied, 4 * MB, MB)).equals(pattern('base', 4)));
  await write(copied, 4 * MB, pattern('of the copy', 4));
  t.ok((await read(node, 4 * MB, MB)).equals(pattern('base', 4)), 'they share nothing that is written to');
  t.ok((await read(node, 3 * MB, MB)).equals(pattern('late', 3)));

  await lab.driver.detach(copy, limit());
  await lab.driver.capture(copy, copy.dir.replace(/live$/, 'again'), limit());
  t.same(
    await readFile(copy.dir.replace(/live$/, 'again/disk.json')),
    await readFile(path.join(copy.dir, 'disk.json')),
    'a detached one is copied as well',
  );
  await monitor.close();
});

t.test('a copy is flattened, and not the disk that it was taken of', async (t) => {
  const lab = await diskLab(t);
  const imagePath = await lab.image('base', 4);
  const disk = lab.disk();
  await lab.driver.create({ ...disk, imagePath, sizeMb: 4 }, limit());
  const { path: node } = await lab.driver.attach(disk, limit());
  await write(node, MB, pattern('early', 1));
  const dir = path.join(lab.dir, 'copy');
  await lab.driver.capture(disk, dir, limit());
  await write(node, MB, pattern('late', 1));
  const flat = path.join(lab.dir, 'flat');
  // It has no file system in it that could be made smaller.
  const driver = lab.driverWith({ shrink: async () => {} });
  await driver.flatten({ sandboxId: disk.sandboxId, dir }, flat, limit());
  t.ok((await read(flat, MB, MB)).equals(pattern('early', 1)));
  await driver.flatten(disk, flat, limit());
  t.ok((await read(flat, MB, MB)).equals(pattern('late', 1)));
  t.equal((await loops(lab.dir)).length, 2, 'only the disk itself is attached');
});

t.test('a detached disk grows, with room for the metadata of all that can be written', async (t) => {
  const lab = await diskLab(t);
  const imagePath = await lab.image('base', 4);
  const disk = lab.disk();
  await lab.driver.create({ ...disk, imagePath, sizeMb: 4 }, limit());
  const { path: node } = await lab.driver.attach(disk, limit());
  await write(node, MB, pattern('mine', 1));
  await lab.driver.detach(disk, limit());

  await lab.driver.grow(disk.dir, 12);
  await lab.driver.grow(disk.dir, 12);
  await lab.driver.grow(disk.dir, 8);
  t.equal((await stat(path.join(disk.dir, 'cow'))).size, cowBytes(12 * 2048));
  await lab.driver.attach(disk, limit());
  t.equal((await lab.driver.usage(disk)).sizeBytes, 12 * MB);
  t.ok((await read(node, MB, MB)).equals(pattern('mine', 1)));
  for (let at = 0; at < 12; at += 1) await write(node, at * MB, pattern('full', at));
  await lab.driver.check(disk);
  t.ok((await read(node, 11 * MB, MB)).equals(pattern('full', 11)), 'every block of it can be written');
});
