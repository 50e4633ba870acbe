import { type ChildProcess, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { access, mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { execa } from 'execa';
import t, { type Test } from 'tap';
import { newSandboxId } from '../../src/ids.ts';
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
import { secondMachine } from '../support/machines.ts';
import { until } from '../support/nats.ts';

/** What an agent left behind goes by itself, while the host runs and at its start; what is not ours stays. */

t.setTimeout(300_000);

const SETTINGS = { DORMOUSE_JANITOR_S: '1' };
const dataDir = await newDataDir();
const sandboxes = path.join(dataDir, 'store', 'sandboxes');
let server: Running = await startDormouse(dataDir, SETTINGS);
t.teardown(async () => {
  await server.stop();
  await removeDataDir(dataDir);
});

const exists = (file: string): Promise<boolean> =>
  access(file).then(
    () => true,
    () => false,
  );
const leaks = async (): Promise<Array<{ kind: string; name: string; detail: string }>> =>
  JSON.parse((await dormouse(['host', 'leaks', '--json'], { DORMOUSE_DATA_DIR: dataDir })).stdout).leaks;

/** A monitor with the run folder of a sandbox, as an agent that died would leave it. */
async function monitor(t: Test, sandbox: string): Promise<ChildProcess> {
  const runDir = path.join(sandboxes, sandbox, 'run');
  await mkdir(runDir, { recursive: true });
  const child = spawn(
    'qemu-system-x86_64',
    [
      ...['-M', 'none', '-nodefaults', '-display', 'none', '-pidfile', path.join(runDir, 'qemu.pid')],
      ...['-qmp', `unix:${path.join(runDir, 'qmp.sock')},server=on,wait=off`],
    ],
    { stdio: 'ignore' },
  );
  t.teardown(() => child.kill('SIGKILL'));
  await until(() => exists(path.join(runDir, 'qmp.sock')), 'the monitor listens');
  return child;
}

/** A monitor of a sandbox whose journal cannot be read: that is left alone for as long as the journal is there. */
async function unreadable(t: Test): Promise<{ id: string; child: ChildProcess }> {
  const id = newSandboxId();
  // In one step: a folder without a journal would be removed before a slow monitor is there.
  const made = path.join(dataDir, 'store', `new-${id}`);
  await mkdir(made);
  await writeFile(path.join(made, 'state.json'), '{"v":1,"kind":"sand');
  await rename(made, path.join(sandboxes, id));
  return { id, child: await monitor(t, id) };
}

const lives = (child: ChildProcess): boolean => child.exitCode === null && child.signalCode === null;

t.test('while the host runs', async (t) => {
  const { body: sandbox } = await http<View>(server, 'POST', '/sandboxes', { template: 'minimal' });
  await run(server, sandbox.id, 'echo here > /tmp/here');
  const namespace = `dm-not-ours-${randomUUID().slice(0, 8)}`;
  await execa('ip', ['netns', 'add', namespace]);
  t.teardown(() => execa('ip', ['netns', 'delete', namespace]));
  const foreign = await monitor(t, 'not-ours');
  const kept = await unreadable(t);
  const orphan = await unreadable(t);
  await mkdir(path.join(sandboxes, orphan.id, 'live'));
  await writeFile(path.join(sandboxes, orphan.id, 'live', 'memory'), 'half of it');
  await rm(path.join(sandboxes, orphan.id, 'state.json'));
  const trash = path.join(sandboxes, sandbox.id, 'trash-12345678');
  await mkdir(trash);
  await writeFile(path.join(trash, 'memory'), 'old');
  const second = secondMachine(t, path.join(sandboxes, sandbox.id, 'run'));

  await until(
    async () => !lives(orphan.child) && !(await exists(path.join(sandboxes, orphan.id))),
    'the orphan goes',
    60_000,
  );
  await until(async () => !(await exists(trash)), 'the old snapshot goes', 60_000);
  await until(() => !lives(second), 'the second machine of a sandbox that runs goes', 60_000);
  t.ok(lives(foreign), 'a process that is not ours stays');
  t.ok(await exists(path.join(sandboxes, 'not-ours', 'run')), 'a folder that is not ours stays');
  t.match((await execa('ip', ['netns', 'list'])).stdout, namespace, 'a namespace that is not ours stays');
  t.ok(lives(kept.child), 'and so does what a journal that cannot be read may name');
  t.match((await leaks()).map(({ kind }) => kind).sort(), ['folder', 'process'], 'but that is shown');
  t.equal(await run(server, sandbox.id, 'cat /tmp/here'), 'here', 'the sandbox goes on');

  await rm(path.join(sandboxes, kept.id), { recursive: true });
  await until(async () => (await leaks()).length === 0, 'without its journal it is nobody’s', 60_000);
  t.notOk(lives(kept.child));
  t.match(await logged(), [
    { sandbox: orphan.id, level: 'process', why: /no journal/ },
    { sandbox: orphan.id, level: 'folder', why: /no journal/ },
    { sandbox: sandbox.id, level: 'trash' },
  ]);
  await http(server, 'DELETE', `/sandboxes/${sandbox.id}`);
  await until(async () => (await leaks()).length === 0, 'nothing leaks');
});

t.test('at the start of a host whose agent was killed', async (t) => {
  const foreign = await monitor(t, 'not-ours');
  const { body: paused } = await http<View>(server, 'POST', '/sandboxes', { template: 'minimal' });
  await http(server, 'POST', `/sandboxes/${paused.id}/pause`);
  // Of a shape that is not kept ready, so that it boots for seconds.
  const creating = http(server, 'POST', '/sandboxes', { template: 'minimal', memory_mb: 200 }).catch(
    () => {},
  );
  await until(
    async () => (await traces(dataDir)).some((line) => line.includes('qemu') && line.includes('size=200M')),
    'the machine boots',
    30_000,
  );
  await server.kill();
  await creating;
  const orphan = await monitor(t, newSandboxId());
  server = await startDormouse(dataDir, SETTINGS);
  t.notOk(lives(orphan));
  t.ok(lives(foreign));
  t.match(server.output(), /found 1 sandbox; 1 operation that goes on; .*leftovers, removed; .*not ours/);
  t.match(await adoptions(), [{}, { adopted: 1, resumedSteps: 1, undone: 0, stranded: 0, foreign: 2 }]);
  t.ok(Number((await adoptions())[1]?.cleared) >= 2, 'the orphan and its folder');
  t.equal((await http<View>(server, 'GET', `/sandboxes/${paused.id}`)).body.state, 'paused');
  // The one that was being created is there, and comes to rest; its caller never heard of it.
  const { body } = await http<{ sandboxes: View[] }>(server, 'GET', '/sandboxes');
  for (const { id } of body.sandboxes) {
    await eventually(server, id, ({ step }) => step === null);
    await http(server, 'DELETE', `/sandboxes/${id}`);
  }
  await until(async () => (await leaks()).length === 0, 'nothing leaks', 60_000);
});

t.test('what a sandbox could not give back it gives back later, and its ledger says so', async (t) => {
  await server.stop();
  server = await startDormouse(dataDir, {
    ...SETTINGS,
    // The first try to make up for it fails, too.
    DORMOUSE_FAULTS: 'releaseSlot begins=fail; tidy begins=fail; discardSnapshot begins=fail',
  });
  const { body } = await http<View>(server, 'POST', '/sandboxes', { template: 'minimal' });
  const { id } = body;
  const ledger = async (): Promise<string[]> => {
    const records = await Promise.all(
      ['state.json', 'state.next.json'].map(async (name) => {
        const text = await readFile(path.join(sandboxes, id, name), 'utf8').catch(() => '{}');
        return JSON.parse(text) as { revision?: number; ledger: Array<{ kind: string }> };
      }),
    );
    const [newest] = records.sort((one, other) => (other.revision ?? 0) - (one.revision ?? 0));
    return newest?.ledger.map(({ kind }) => kind) ?? [];
  };
  t.equal((await http<View>(server, 'POST', `/sandboxes/${id}/pause`)).body.state, 'paused');
  await until(async () => (await ledger()).join() === 'snapshot', 'the slot is given back');
  t.equal((await http<View>(server, 'POST', `/sandboxes/${id}/resume`)).body.state, 'running');
  await until(async () => !(await ledger()).includes('snapshot'), 'the snapshot is deleted');
  t.notOk(await exists(path.join(sandboxes, id, 'snapshot')));
  t.ok(await exists(path.join(sandboxes, id, 'live')));
  t.equal(
    (await http<View>(server, 'POST', `/sandboxes/${id}/pause`)).body.state,
    'paused',
    'and it goes on',
  );
  const lines = (await logLines()).filter(({ sandbox, released }) => sandbox === id && released);
  t.match(lines, [{ released: ['slot'] }, { released: ['snapshot'] }]);
  await http(server, 'DELETE', `/sandboxes/${id}`);
  await until(async () => (await leaks()).length === 0, 'nothing leaks');
});

t.test('in the end nothing is left', async (t) => {
  await server.stop();
  t.same(await tracesLeft(dataDir), []);
});

interface LogLine {
  msg: string;
  [key: string]: unknown;
}

async function logLines(): Promise<LogLine[]> {
  const text = await readFile(path.join(dataDir, 'dormouse.log'), 'utf8');
  return text
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line) as LogLine);
}
const adoptions = async () => (await logLines()).filter(({ msg }) => msg === 'adopted what was there');
/** What the janitor says that it removed, in order. */
const logged = async () => (await logLines()).filter(({ msg }) => msg.startsWith('removed what'));
