import { readFile } from 'node:fs/promises';
import path from 'node:path';
import t from 'tap';
import {
  http,
  newDataDir,
  type Running,
  removeDataDir,
  run,
  startDormouse,
  tracesLeft,
  type View,
} from '../support/dormouse.ts';

t.setTimeout(300_000);

/** The images of a host that starts with another least size: what disks can have, and what the guest sees of it. */

const dataDir = await newDataDir();
let server: Running | undefined;
t.teardown(async () => {
  await server?.stop();
  await removeDataDir(dataDir);
});

// A disk of the other driver keeps its image as it is for as long as it lives.
const start = async (imageSizeMb: number): Promise<Running> => {
  const settings = { DORMOUSE_IMAGE_SIZE_MB: String(imageSizeMb), DORMOUSE_DISK_DRIVER: 'reflink' };
  server = await startDormouse(dataDir, settings);
  return server;
};
const create = (at: Running, diskSizeMb: number) =>
  http<View>(at, 'POST', '/sandboxes', { template: 'minimal', disk_size_mb: diskSizeMb });
const MOUNT = "df -k / | tail -1 | awk '{print $2}'; grep -c ' / ext4 .*noinit_itable' /proc/mounts";

t.test('with 0 images stay as they are, and disks can be as small', async (t) => {
  const first = await start(0);
  const least = await create(first, 64);
  t.equal(least.body.state, 'running');
  await http(first, 'DELETE', `/sandboxes/${least.body.id}`);
  const { body } = await create(first, 1024);
  const [kib = '', mounts] = (await run(first, body.id, MOUNT)).split('\n');
  t.ok(Number(kib) > 900 * 1024 && Number(kib) <= 1024 * 1024, `df says ${kib} KiB: the guest has grown it`);
  t.equal(mounts, '1', 'and it writes no inode tables that nothing uses, also after that');
  await run(first, body.id, 'echo kept > /root/kept; sync');
  t.equal((await http<View>(first, 'POST', `/sandboxes/${body.id}/pause`)).body.state, 'paused');
  t.notMatch(first.output(), /expanding/);
  t.equal(await first.stop(), 0);

  await t.test(
    'a host that wants more expands them, and says so; what was made before goes on',
    async (t) => {
      const second = await start(2048);
      t.match(second.output(), /expanding the image of minimal to 2048 MiB/);
      t.match(await readFile(path.join(dataDir, 'dormouse.log'), 'utf8'), /"msg":"image expanded"/);
      t.match((await create(second, 2047)).body, {
        code: 'INVALID_SIZE',
        disk_size_mb: 2047,
        minimum_mb: 2048,
      });
      const large = await create(second, 2048);
      const [kib = '', mounts] = (await run(second, large.body.id, MOUNT)).split('\n');
      t.ok(Number(kib) > 1900 * 1024 && Number(kib) <= 2048 * 1024, `df says ${kib} KiB`);
      t.equal(mounts, '1');
      t.equal((await http<View>(second, 'POST', `/sandboxes/${body.id}/resume`)).body.state, 'running');
      t.equal(await run(second, body.id, 'cat /root/kept'), 'kept');
      t.equal((await http<View>(second, 'POST', `/sandboxes/${body.id}/restart`)).body.state, 'running');
      t.equal(await run(second, body.id, 'cat /root/kept'), 'kept');
      for (const { id } of [body, large.body]) await http(second, 'DELETE', `/sandboxes/${id}`);
      t.equal(await second.stop(), 0);
    },
  );

  await t.test('once', async (t) => {
    const third = await start(2048);
    t.notMatch(third.output(), /expanding/);
    t.match((await create(third, 2047)).body, { code: 'INVALID_SIZE', minimum_mb: 2048 });
    t.equal(await third.stop(), 0);
    t.same(await tracesLeft(dataDir), [], 'nothing is left');
  });
});
