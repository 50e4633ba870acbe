import { constants } from 'node:fs';
import { copyFile, mkdtemp, open, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { execa } from 'execa';
import t from 'tap';

/** What the other tests in here build on: the kernel has what they need. */

const folder = await mkdtemp(path.join(os.tmpdir(), 'kernel-'));
t.teardown(() => rm(folder, { recursive: true, force: true }));

t.test('device-mapper makes a snapshot of a disk', async (t) => {
  // The tools' own way without udevd; the product decides for itself.
  const dmsetup = (...args: string[]) => execa('dmsetup', args, { env: { DM_DISABLE_UDEV: '1' } });
  t.match((await dmsetup('targets')).stdout, /^snapshot /m);

  const [base, changes] = ['base', 'changes'].map((name) => path.join(folder, name));
  await writeFile(base!, 'the base');
  await truncate(base!, 2 ** 20);
  await writeFile(changes!, '');
  await truncate(changes!, 2 ** 20);
  const attach = async (...args: string[]): Promise<string> => {
    const { stdout: device } = await execa('losetup', ['--find', '--show', ...args]);
    t.teardown(() => execa('losetup', ['--detach', device]));
    return device;
  };
  const origin = await attach('--read-only', base!);
  const exceptions = await attach(changes!);
  await dmsetup('create', 'kernel-test', '--table', `0 2048 snapshot ${origin} ${exceptions} P 8`);
  t.teardown(() => dmsetup('remove', 'kernel-test'));

  const disk = await open('/dev/mapper/kernel-test', 'r+');
  await disk.write('XX', 4);
  await disk.sync();
  const { buffer } = await disk.read(Buffer.alloc(8), 0, 8, 0);
  await disk.close();
  t.equal(buffer.toString(), 'the XXse');
  t.equal((await readFile(base!)).toString('latin1', 0, 8), 'the base', 'the base is as it was');
});

t.test('the file system of temporary files has reflinks', async (t) => {
  const file = path.join(folder, 'file');
  await writeFile(file, 'shared');
  await copyFile(file, path.join(folder, 'clone'), constants.COPYFILE_FICLONE_FORCE);
  t.equal(await readFile(path.join(folder, 'clone'), 'utf8'), 'shared');
});
