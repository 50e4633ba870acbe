import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { execa } from 'execa';
import t from 'tap';
import { dmsetup } from '../../../src/drivers/disk/device-mapper/dmsetup.ts';
import { deviceName, nodeOf, originName, uuidOf } from '../../../src/drivers/disk/device-mapper/names.ts';
import type { HeldDevice } from '../../../src/drivers/disk/types.ts';
import { diskLab, limit, loops, pattern, read, tables } from '../lab.ts';

/** Devices that were never given a table: dmsetup was killed between two of its calls. sysfs does not show them. */

const MB = 2 ** 20;

/** Leaves a device as a dmsetup does that is killed when it has made it. */
async function makeWithoutTable(name: string, uuid = uuidOf(name)): Promise<void> {
  const marked = uuid === '' ? [] : ['--uuid', uuid];
  await execa('dmsetup', ['create', name, ...marked, '--notable'], { env: { DM_DISABLE_UDEV: '1' } });
}

/** Names of all devices as dmsetup shows them, those without a table too. */
async function names(): Promise<string[]> {
  const { stdout } = await execa('dmsetup', ['ls']);
  return [...stdout.matchAll(/^(\S+)\t/gm)].map(([, name = '']) => name).sort();
}

t.test("a device that was never given a table is in nobody's way", async (t) => {
  const lab = await diskLab(t);
  const imagePath = await lab.image('base', 4);
  const disk = lab.disk();
  const device = deviceName(disk.sandboxId);
  await lab.driver.create({ ...disk, imagePath, sizeMb: 8 }, limit());
  // As a dmsetup and a losetup leave it that were killed half-way.
  await execa('losetup', ['--find', path.join(disk.dir, 'cow')]);
  for (const name of [device, originName(device)]) await makeWithoutTable(name);
  const { path: node } = await lab.driver.attach(disk, limit());
  t.ok((await read(node, MB, MB)).equals(pattern('base', 1)));
  await lab.driver.detach(disk, limit());
  t.same(await tables(), {});
  t.same(await loops(lab.dir), []);
});

t.test('devices that were never given a table are seen and go, and nothing else does', async (t) => {
  const lab = await diskLab(t);
  const imagePath = await lab.image('base', 4);
  const [disk, whole, elsewhere] = [lab.disk(), lab.disk(), lab.disk()];
  for (const each of [disk, whole]) await lab.driver.create({ ...each, imagePath, sizeMb: 8 }, limit());
  await lab.driver.attach(whole, limit());
  const device = deviceName(disk.sandboxId);
  const attached = await names();
  // Of a sandbox that has no folder here, and not marked as ours.
  const others = [deviceName(elsewhere.sandboxId), `${device}-flat`];
  for (const name of [device, originName(device)]) await makeWithoutTable(name);
  await makeWithoutTable(others[0] ?? '');
  await makeWithoutTable(others[1] ?? '', '');
  const found = async (): Promise<HeldDevice[]> =>
    (await lab.driver.list(lab.sandboxes)).filter(({ withoutTable }) => withoutTable);
  const { sandboxId } = disk;
  t.same(
    (await found()).sort((a, b) => a.name.localeCompare(b.name)),
    [device, originName(device)].map((name) => ({
      kind: 'device',
      name,
      sandboxId,
      temporary: false,
      withoutTable: true,
    })),
  );
  for (const each of await found()) await lab.driver.clear(each, disk.dir, limit());
  t.same(await found(), []);
  t.same(await names(), [...attached, ...others].sort());
  for (const name of others) await dmsetup(['remove', name]);

  await makeWithoutTable(device);
  const [before] = await found();
  await lab.driver.attach(disk, limit());
  if (before) await lab.driver.clear(before, disk.dir, limit());
  t.ok(
    (await read(nodeOf(device), MB, MB)).equals(pattern('base', 1)),
    'one that got a table since is another',
  );
  for (const each of [disk, whole]) await lab.driver.detach(each, limit());
  t.same(await names(), []);
});

t.test('nothing is left of an attach whose dmsetup is killed half-way', async (t) => {
  const lab = await diskLab(t);
  const imagePath = await lab.image('base', 4);
  const disk = lab.disk();
  await lab.driver.create({ ...disk, imagePath, sizeMb: 8 }, limit());
  const bin = path.join(lab.dir, 'bin');
  await mkdir(bin);
  const script = `#!/bin/sh
PATH=\${PATH#*:}
if [ "$1" = create ]; then dmsetup create "$2" --uuid "$4" --notable; kill -9 $$; fi
exec dmsetup "$@"
`;
  await writeFile(path.join(bin, 'dmsetup'), script, { mode: 0o755 });
  const { PATH = '' } = process.env;
  process.env.PATH = `${bin}:${PATH}`;
  try {
    await t.rejects(lab.driver.attach(disk, limit()), { code: 'DISK_FAILED', data: { exit_status: null } });
  } finally {
    process.env.PATH = PATH;
  }
  t.same(await names(), []);
  t.same(await loops(lab.dir), []);
  const { path: node } = await lab.driver.attach(disk, limit());
  t.ok((await read(node, MB, MB)).equals(pattern('base', 1)));
  await lab.driver.detach(disk, limit());
});
