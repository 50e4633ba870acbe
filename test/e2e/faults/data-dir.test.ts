import { mkdir, rm, statfs, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { execa } from 'execa';
import t from 'tap';
import { eventually, http, newDataDir, removeDataDir, run, type View } from '../../support/dormouse.ts';
import { until } from '../../support/nats.ts';
import { refused, up } from './support.ts';

/** A data directory that is full, cannot be written, or cannot be one: it is said clearly, and nothing is lost or left. */

t.setTimeout(300_000);

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
  const freeMb = async (): Promise<number> => {
    const { bavail, bsize } = await statfs(store);
    return Math.floor((bavail * bsize) / 2 ** 20);
  };
  await execa('fallocate', ['--length', `${(await freeMb()) - 280}MiB`, filler]);
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
  await until(
    async () => (await freeMb()) > 512,
    'XFS has given the room back, which it does in the background',
  );
  const resumed = await http<View>(server, 'POST', `/sandboxes/${sandbox.id}/resume`);
  t.equal(resumed.body.state, 'running', JSON.stringify(resumed.body));
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
