import { lstat, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { execa } from 'execa';
import t from 'tap';
import { deviceName, nodeOf, originName, uuidOf } from '../../../src/drivers/disk/device-mapper/names.ts';
import { diskLab, hold, limit, loops, pattern, read, tables, write } from '../lab.ts';

/** The driver where udev makes the device nodes, and opens every device that somebody wrote to. */

const MB = 2 ** 20;

t.test('the life of a disk, with nodes that udev makes', async (t) => {
  const lab = await diskLab(t);
  const imagePath = await lab.image('base', 4);
  const disk = lab.disk();
  const device = deviceName(disk.sandboxId);
  await lab.driver.create({ ...disk, imagePath, sizeMb: 8 }, limit());
  const { path: node } = await lab.driver.attach(disk, limit());
  t.ok((await lstat(nodeOf(device))).isSymbolicLink(), 'it was udev');
  t.same(Object.keys(await tables()), [device, originName(device)]);
  await write(node, 7 * MB, pattern('mine', 7));
  await lab.driver.detach(disk, limit());
  await t.rejects(lstat(nodeOf(device)), { code: 'ENOENT' });
  await lab.driver.attach(disk, limit());
  t.ok((await read(node, 7 * MB, MB)).equals(pattern('mine', 7)));
  const letGo = await hold(node);
  await t.rejects(lab.driver.detach(disk, limit()), { code: 'DEVICE_BUSY' });
  await letGo();
  await lab.driver.remove(disk, limit());
  t.same(await tables(), {});
  t.same(await loops(lab.dir), []);
});

t.test('a device is removed right after its writer has closed it, while udev looks at it', async (t) => {
  const lab = await diskLab(t);
  const imagePath = await lab.image('base', 2);
  const disk = lab.disk();
  await lab.driver.create({ ...disk, imagePath, sizeMb: 2 }, limit());
  for (let round = 0; round < 10; round += 1) {
    const { path: node } = await lab.driver.attach(disk, limit());
    await write(node, 0, pattern(`round ${round}`, 0));
    await lab.driver.detach(disk, limit());
  }
  t.same(await tables(), {});
  t.same(await loops(lab.dir), []);
});

t.test('with the rule of the documentation the host does not look into a disk of a guest', async (t) => {
  const page = await readFile(
    path.join(import.meta.dirname, '..', '..', '..', 'docs', 'device-mapper.md'),
    'utf8',
  );
  const [, rule = ''] = /```\n(# Disks of Dormouse's sandboxes[\s\S]*?)```/.exec(page) ?? [];
  const lab = await diskLab(t);
  const imagePath = await lab.image('ext4', 8);
  await execa('mke2fs', ['-q', '-F', '-L', 'of-a-guest', imagePath]);
  const label = async (): Promise<string> => {
    const disk = lab.disk();
    await lab.driver.create({ ...disk, imagePath, sizeMb: 8 }, limit());
    const { path: node } = await lab.driver.attach(disk, limit());
    await execa('udevadm', ['settle']);
    const { stdout } = await execa('udevadm', ['info', '--query=property', node]);
    t.match(stdout, new RegExp(`DM_NAME=${deviceName(disk.sandboxId)}`), 'udev knows the device');
    await lab.driver.remove(disk, limit());
    return /^ID_FS_LABEL=(.*)$/m.exec(stdout)?.[1] ?? 'not read';
  };
  t.equal(await label(), 'of-a-guest', 'without it the host reads what is in it');
  const file = '/etc/udev/rules.d/56-dormouse.rules';
  await writeFile(file, rule.replaceAll('/var/lib/dormouse/store', lab.dir));
  t.teardown(async () => {
    await rm(file);
    await execa('udevadm', ['control', '--reload']);
  });
  await execa('udevadm', ['control', '--reload']);
  t.equal(await label(), 'not read');
});

t.test('a device that was never given a table, of which udev never hears, goes too', async (t) => {
  const lab = await diskLab(t);
  const disk = lab.disk();
  const device = deviceName(disk.sandboxId);
  await mkdir(disk.dir, { recursive: true });
  await execa('dmsetup', ['create', device, '--uuid', uuidOf(device), '--notable']);
  const [left, ...more] = await lab.driver.list(lab.sandboxes);
  t.match(left, { name: device, withoutTable: true });
  t.same(more, []);
  if (left) await lab.driver.clear(left, disk.dir, limit());
  t.same(await lab.driver.list(lab.sandboxes), []);
});
