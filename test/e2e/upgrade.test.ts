import { cp, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import t, { type Test } from 'tap';
import {
  dormouse,
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
import { sandboxesIn } from '../support/host-lab.ts';

/** Another version of Dormouse takes over a data directory: virtual machines and their programs do not notice. */

t.setTimeout(300_000);

const ROOT = path.join(import.meta.dirname, '..', '..');
const OLD_VERSION = '0.0.9';
/** What a checkout needs to run. What the set-up made is the same for both. */
const OWN = ['bin', 'src', 'nats'];
const SHARED = ['node_modules', '.cache'];

const packageJson = JSON.parse(await readFile(path.join(ROOT, 'package.json'), 'utf8'));
const old = await mkdtemp(path.join(os.tmpdir(), 'dm-old-'));
t.teardown(() => rm(old, { recursive: true, force: true }));
for (const name of OWN) await cp(path.join(ROOT, name), path.join(old, name), { recursive: true });
for (const name of SHARED) await symlink(path.join(ROOT, name), path.join(old, name));
await writeFile(path.join(old, 'package.json'), JSON.stringify({ ...packageJson, version: OLD_VERSION }));

/** The version that the host says it is. */
async function versionOf({ dataDir }: Running): Promise<string[]> {
  const { stdout } = await dormouse(['host', 'list', '--json'], { DORMOUSE_DATA_DIR: dataDir });
  return (JSON.parse(stdout) as { hosts: Array<{ version: string }> }).hosts.map(({ version }) => version);
}

/** Starts a program in the guest that writes how often it was on its way, on a tmpfs; gives its pid. */
async function startCounting(server: Running, id: string): Promise<string> {
  await run(
    server,
    id,
    '(while :; do i=$((i+1)); echo $i > /run/count; sleep 0.1; done) > /dev/null 2>&1 & echo $! > /run/pid',
  );
  return await run(server, id, 'cat /run/pid');
}

async function counts(t: Test, server: Running, id: string, pid: string, what: string): Promise<void> {
  const script = `kill -0 ${pid} && n=$(cat /run/count) && while [ "$(cat /run/count)" = "$n" ]; do sleep 0.05; done; cat /run/pid`;
  t.equal(await run(server, id, script), pid, what);
}

async function destroyAll(server: Running): Promise<void> {
  for (const id of await sandboxesIn(server.dataDir))
    await http(server, 'DELETE', `/sandboxes/${id}`).catch(() => {});
}

for (const how of ['stop', 'kill'] as const) {
  t.test(`from ${OLD_VERSION} to ${packageJson.version}, by ${how}`, async (t) => {
    const dataDir = await newDataDir();
    let server = await startDormouse(dataDir, {}, ['up'], path.join(old, 'bin', 'dormouse'));
    t.teardown(async () => {
      await destroyAll(server);
      await server.stop();
      await removeDataDir(dataDir);
    });
    t.same(await versionOf(server), [OLD_VERSION]);
    const create = async (): Promise<string> =>
      (await http<View>(server, 'POST', '/sandboxes', { template: 'minimal' })).body.id;
    const [running, paused] = [await create(), await create()];
    const pids = [await startCounting(server, running), await startCounting(server, paused)] as const;
    await run(server, running, 'echo on disk > /kept; sync');
    t.equal((await http<View>(server, 'POST', `/sandboxes/${paused}/pause`)).body.state, 'paused');
    const machines = async (): Promise<string[]> =>
      (await traces(dataDir)).filter((line) => line.includes('qemu'));
    const before = await machines();
    await server[how]();

    server = await startDormouse(dataDir);
    t.same(await versionOf(server), [packageJson.version]);
    t.same(await machines(), before, 'the virtual machine is the same process');
    await counts(t, server, running, pids[0], 'its program goes on');
    t.equal((await http<View>(server, 'POST', `/sandboxes/${running}/pause`)).body.state, 'paused');
    for (const id of [running, paused])
      t.equal((await http<View>(server, 'POST', `/sandboxes/${id}/resume`)).body.state, 'running');
    await counts(t, server, running, pids[0], 'also after a pause');
    await counts(t, server, paused, pids[1], 'and so does that of the one that was paused');
    t.equal(await run(server, running, 'cat /kept'), 'on disk');
    t.equal((await http<View>(server, 'POST', `/sandboxes/${running}/restart`)).body.state, 'running');
    t.equal(await run(server, running, 'cat /kept'), 'on disk');
    const made = await create();
    t.equal(await run(server, made, 'echo here'), 'here', 'the saved machine of the template can be used');
    for (const id of [running, paused, made])
      t.equal((await http<View>(server, 'DELETE', `/sandboxes/${id}`)).body.state, 'destroyed');
    const { stdout } = await dormouse(['host', 'leaks', '--json'], { DORMOUSE_DATA_DIR: dataDir });
    t.same(JSON.parse(stdout).leaks, []);
    await server.stop();
    t.same(await tracesLeft(dataDir), []);
  });
}
