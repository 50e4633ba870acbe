import { rm, symlink } from 'node:fs/promises';
import path from 'node:path';
import t from 'tap';
import {
  dormouse,
  http,
  newDataDir,
  removeDataDir,
  traces,
  tracesLeft,
  type View,
} from '../../support/dormouse.ts';
import { refused, up } from './support.ts';

/** A monitor that is not there, and a guest that does not answer: it is said clearly, and nothing is left. */

t.setTimeout(300_000);

t.test('a monitor that is not installed: the server does not start, and says what to install', async (t) => {
  const { exitCode, printed, dataDir } = await refused(t, { DORMOUSE_QEMU: '/no/such/qemu' });
  t.equal(exitCode, 1);
  t.match(printed, /no\/such\/qemu.*apt-get install qemu-system-x86/s);
  t.same(await tracesLeft(dataDir), []);
});

t.test('a monitor that goes away: creates say so and leave nothing, and work when it is back', async (t) => {
  const folder = await newDataDir();
  t.teardown(() => removeDataDir(folder));
  const link = path.join(folder, 'qemu');
  await symlink('/usr/bin/qemu-system-x86_64', link);
  const server = await up(t, { DORMOUSE_QEMU: link });
  await rm(link);
  const { status, body } = await http(server, 'POST', '/sandboxes', { template: 'minimal' });
  t.equal(status, 500);
  t.match(body, { code: 'VMM_MISSING', detail: /nstall/ });
  t.same(
    (await traces(server.dataDir)).filter((line) => line.includes('sandboxes/sb-')),
    [],
  );
  await symlink('/usr/bin/qemu-system-x86_64', link);
  const again = await http<View>(server, 'POST', '/sandboxes', { template: 'minimal' });
  t.equal(again.body.state, 'running');
  await http(server, 'DELETE', `/sandboxes/${again.body.id}`);
});

t.test('a guest that does not answer in time: the create fails, and leaves nothing', async (t) => {
  // An emulated processor needs longer than this to boot the kernel.
  const server = await up(t, { DORMOUSE_GUEST_TIMEOUT_S: '1', DORMOUSE_ACCELERATOR: 'tcg' });
  const { status, body } = await http(server, 'POST', '/sandboxes', {
    template: 'minimal',
    memory_mb: 300,
    vcpus: 2,
  });
  t.equal(status, 504, JSON.stringify(body));
  t.match(body, { code: 'GUEST_UNREACHABLE' });
  t.same(
    (await traces(server.dataDir)).filter((line) => line.includes('sandboxes/sb-')),
    [],
    'no machine',
  );
  const { stdout } = await dormouse(['host', 'leaks', '--json'], { DORMOUSE_DATA_DIR: server.dataDir });
  t.notMatch(stdout, /sb-/, 'no slot and no folder');
});
