import { readlink } from 'node:fs/promises';
import { execa } from 'execa';
import t from 'tap';

/** What the other tests in here build on: udevd runs, and makes the names of devices itself. */

t.test('udevd makes the name of a device', async (t) => {
  await execa('udevadm', ['control', '--ping']);
  await execa('dmsetup', ['create', 'udev-test', '--table', '0 8 zero']);
  t.teardown(() => execa('dmsetup', ['remove', '--retry', 'udev-test']));
  t.match(await readlink('/dev/mapper/udev-test'), /^\.\.\/dm-\d+$/);
});
