import { mkdir, rm, statfs, symlink, writeFile } from 'node:fs/promises';
import net from 'node:net';
import path from 'node:path';
import { execa } from 'execa';
import t, { type Test } from 'tap';
import {
  dormouse,
  eventually,
  http,
  newDataDir,
  type Running,
  removeDataDir,
  run,
  startDormouse,
  traces,
  tracesLeft,
  type View,
} from '../support/dormouse.ts';
import { until } from '../support/nats.ts';

/** What goes wrong on a real machine, and that it is said clearly and leaves nothing. */

t.setTimeout(300_000);

async function up(t: Test, settings: Record<string, string> = {}): Promise<Running> {
  const dataDir = await newDataDir();
  const server = await startDormouse(dataDir, settings);
  t.teardown(async () => {
    // A server that stops leaves its machines running, and a test that failed has not destroyed them.
    const { body } = await http<{ sandboxes: View[] }>(server, 'GET', '/sandboxes').catch(() => ({
      body: { sandboxes: [] },
    }));
    for (const { id } of body.sandboxes) await http(server, 'DELETE', `/sandboxes/${id}`).catch(() => {});
    await server.stop();
    await removeDataDir(dataDir);
  });
  return server;
}

/** Runs `dormouse up` where it cannot come up; returns how it ended. */
async function refused(t: Test, settings: Record<string, string>) {
  const dataDir = await newDataDir();
  t.teardown(() => removeDataDir(dataDir));
  const ended = await dormouse(['up'], {
    DORMOUSE_DATA_DIR: dataDir,
    DORMOUSE_HTTP_PORT: '0',
    DORMOUSE_STORE_SIZE_MB: '2048',
    ...settings,
  });
  return { dataDir, exitCode: ended.exitCode, printed: ended.stdout + ended.stderr };
}

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

t.test(
  'a store that is full: creates are refused, a pause works or is rolled back, and all goes on when there is room',
  async (t) => {
    // The host would pause it before that.
    const server = await up(t, { DORMOUSE_STORE_SIZE_MB: '1024', DORMOUSE_DISK_CRITICAL_MB: '0' });
    const { body: sandbox } = await http<View>(server, 'POST', '/sandboxes', { template: 'minimal' });
    const filler = path.join(server.dataDir, 'store', 'filler');
    await execa('dd', ['if=/dev/zero', `of=${filler}`, 'bs=1M'], { reject: false });
    const create = await http(server, 'POST', '/sandboxes', { template: 'minimal' });
    t.equal(create.status, 507);
    t.match(create.body, { code: 'DISK_FULL' });
    const pause = await http<View>(server, 'POST', `/sandboxes/${sandbox.id}/pause`);
    const { state } = await eventually(server, sandbox.id, (view) => view.step === null);
    if (pause.status === 200) t.equal(state, 'paused', 'what little a pause writes had room');
    else t.match([pause.body, state], [{ code: 'DISK_FULL' }, 'running'], 'the pause was rolled back');
    await rm(filler);
    if (state === 'paused') await http(server, 'POST', `/sandboxes/${sandbox.id}/resume`);
    t.equal(await run(server, sandbox.id, 'echo still here'), 'still here');
    t.equal((await http<View>(server, 'POST', `/sandboxes/${sandbox.id}/pause`)).body.state, 'paused');
    t.equal((await http<View>(server, 'POST', `/sandboxes/${sandbox.id}/resume`)).body.state, 'running');
    t.equal((await http<View>(server, 'DELETE', `/sandboxes/${sandbox.id}`)).body.state, 'destroyed');
  },
);

t.test('a store that fills up: what runs is paused in time, and goes on when there is room', async (t) => {
  const server = await up(t, { DORMOUSE_STORE_SIZE_MB: '1024', DORMOUSE_DISK_CRITICAL_MB: '300' });
  const { body: sandbox } = await http<View>(server, 'POST', '/sandboxes', { template: 'minimal' });
  await run(server, sandbox.id, 'echo kept > /file; sync');
  const store = path.join(server.dataDir, 'store');
  const filler = path.join(store, 'filler');
  const { bavail, bsize } = await statfs(store);
  await execa('fallocate', ['--length', `${Math.floor((bavail * bsize) / 2 ** 20) - 280}MiB`, filler]);
  const { state } = await eventually(server, sandbox.id, (view) => view.state === 'paused');
  t.equal(state, 'paused');
  // The history follows by some moments.
  await until(async () => {
    const { body } = await http<{ transitions: Array<{ cause: string }> }>(
      server,
      'GET',
      `/sandboxes/${sandbox.id}/transitions`,
    );
    return body.transitions.some(({ cause }) => cause === 'spaceLow');
  }, 'the history says why');
  const refused = await http(server, 'POST', `/sandboxes/${sandbox.id}/resume`);
  t.match([refused.status, refused.body], [507, { code: 'DISK_FULL', detail: /MiB free/ }]);
  await rm(filler);
  t.equal((await http<View>(server, 'POST', `/sandboxes/${sandbox.id}/resume`)).body.state, 'running');
  t.equal(await run(server, sandbox.id, 'cat /file'), 'kept');
  t.equal((await http<View>(server, 'DELETE', `/sandboxes/${sandbox.id}`)).body.state, 'destroyed');
});

t.test('a store that turns read-only: the create says so; it works again when the store does', async (t) => {
  const server = await up(t);
  const store = path.join(server.dataDir, 'store');
  await execa('mount', ['-o', 'remount,ro', store]);
  const { body } = await http(server, 'POST', '/sandboxes', { template: 'minimal' });
  await execa('mount', ['-o', 'remount,rw', store]);
  t.match(body, { code: 'DATA_DIR_UNWRITABLE' });
  const again = await http<View>(server, 'POST', '/sandboxes', { template: 'minimal' });
  t.equal(again.body.state, 'running');
  await http(server, 'DELETE', `/sandboxes/${again.body.id}`);
});

t.test('NATS is killed and comes back: sandboxes run on, and commands work again', async (t) => {
  const server = await up(t);
  const { body: sandbox } = await http<View>(server, 'POST', '/sandboxes', { template: 'minimal' });
  await run(server, sandbox.id, 'echo before > /tmp/before');
  const line = (await traces(server.dataDir)).find((each) => each.includes('nats-server'));
  process.kill(Number(/process (\d+)/.exec(line ?? '')?.[1]), 'SIGKILL');
  const during = await http(server, 'POST', `/sandboxes/${sandbox.id}/ping`, {});
  t.ok([200, 503, 504].includes(during.status), `while it is away: ${during.status}`);
  for (const end = Date.now() + 20_000; Date.now() < end; ) {
    if ((await http(server, 'POST', `/sandboxes/${sandbox.id}/ping`, {})).status === 200) break;
  }
  t.equal(await run(server, sandbox.id, 'cat /tmp/before'), 'before');
  t.equal((await http<View>(server, 'POST', `/sandboxes/${sandbox.id}/pause`)).body.state, 'paused');
  t.equal((await eventually(server, sandbox.id, ({ state }) => state === 'paused')).state, 'paused');
  await http(server, 'DELETE', `/sandboxes/${sandbox.id}`);
});

t.test('a port that is taken: it says so and leaves nothing', async (t) => {
  const taken = net.createServer();
  await new Promise<void>((resolve) => taken.listen(0, '127.0.0.1', resolve));
  t.teardown(() => taken.close());
  const { port } = taken.address() as net.AddressInfo;
  const { exitCode, printed, dataDir } = await refused(t, { DORMOUSE_HTTP_PORT: String(port) });
  t.equal(exitCode, 1);
  t.match(printed, new RegExp(`${port}`));
  t.same(await tracesLeft(dataDir), []);
});

t.test('settings that are wrong are all named', async (t) => {
  const { exitCode, printed } = await refused(t, { DORMOUSE_HTTP_PORT: 'http', DORMOUSE_TYPO: '1' });
  t.not(exitCode, 0);
  t.match(printed, /DORMOUSE_HTTP_PORT/);
  t.match(printed, /DORMOUSE_TYPO/);
});

t.test('a data directory that cannot be one', async (t) => {
  const parent = await newDataDir();
  t.teardown(() => removeDataDir(parent));
  const file = path.join(parent, 'file');
  await writeFile(file, '');
  const inFile = await refused(t, { DORMOUSE_DATA_DIR: path.join(file, 'data') });
  t.equal(inFile.exitCode, 1);
  t.match(inFile.printed, /could not be|cannot be/);
  const long = path.join(parent, 'x'.repeat(100));
  await mkdir(long);
  t.match((await refused(t, { DORMOUSE_DATA_DIR: long })).printed, /shorter/);
});
