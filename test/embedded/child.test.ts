import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { execa } from 'execa';
import t, { type Test } from 'tap';
import { systemClock } from '../../src/clock.ts';
import { type ChildOptions, findProgram, startChild } from '../../src/embedded/child.ts';
import { silentLog, until } from '../support/nats.ts';

/** Options for a shell script that is ready as soon as it has made the file `ready`. */
async function shell(t: Test, script: string, changes: Partial<ChildOptions> = {}): Promise<ChildOptions> {
  const dir = await mkdtemp(path.join(os.tmpdir(), 'dormouse-child-'));
  t.teardown(() => rm(dir, { recursive: true, force: true }));
  return {
    name: 'script',
    program: '/bin/sh',
    args: () => ['-c', script],
    cwd: dir,
    stopSignal: 'SIGTERM',
    stopGraceMs: 5_000,
    readyTimeoutMs: 10_000,
    probe: async (pid) => {
      if (Number(await readFile(path.join(dir, 'ready'), 'utf8')) !== pid) throw new Error('not yet');
    },
    pidFile: path.join(dir, 'pid.json'),
    clock: systemClock,
    log: silentLog,
    ...changes,
  };
}

const READY = 'echo $$ >ready; ';
const savedPid = async (options: ChildOptions): Promise<number> =>
  JSON.parse(await readFile(options.pidFile, 'utf8')).pid;

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

/** A process of the test's own, and what its pid file would say. */
async function stranger(
  t: Test,
): Promise<{ pid: number; identity: Record<string, unknown>; gone: Promise<unknown> }> {
  const subprocess = execa('sleep', ['600'], { reject: false });
  t.teardown(() => subprocess.kill('SIGKILL'));
  await once(subprocess.nodeChildProcess, 'spawn');
  const pid = subprocess.pid!;
  const fields = (await readFile(`/proc/${pid}/stat`, 'utf8')).split(') ')[1]!.split(' ');
  const bootId = (await readFile('/proc/sys/kernel/random/boot_id', 'utf8')).trim();
  return {
    pid,
    identity: { pid, startTime: fields[19], bootId },
    gone: subprocess.then(({ signal }) => signal),
  };
}

t.test('a program that is not installed', async (t) => {
  await t.rejects(findProgram('no-such-program', 'some-package'), {
    code: 'DEPENDENCY_MISSING',
    detail: /no-such-program.*apt-get install some-package/,
    data: { program: 'no-such-program' },
  });
  await t.rejects(findProgram('/nowhere/program', 'some-package'), { code: 'DEPENDENCY_MISSING' });
  t.equal(await findProgram('/bin/sh', 'dash'), '/bin/sh');
});

t.test('a program that ends before it is ready', async (t) => {
  const options = await shell(t, 'echo one; echo two >&2; exit 3');
  await t.rejects(startChild(options), {
    code: 'CHILD_FAILED',
    detail: /script did not come up: exit status 3.*one \| two/,
  });
});

t.test('a program that never answers is ended, by force if need be', async (t) => {
  const options = await shell(t, `trap '' TERM; echo stubborn; while :; do sleep 0.1; done`, {
    readyTimeoutMs: 300,
    stopGraceMs: 200,
  });
  await t.rejects(startChild(options), { code: 'CHILD_FAILED', detail: /did not answer in time.*stubborn/ });
  t.equal(isAlive(await savedPid(options)), false);
});

t.test('a program that ends by itself is started again, until it is stopped', async (t) => {
  const options = await shell(t, `${READY} exec sleep 600`);
  const child = await startChild(options);
  t.teardown(() => child.stop());
  const first = await savedPid(options);
  process.kill(first, 'SIGKILL');
  await until(async () => (await savedPid(options)) !== first, 'it runs again');
  const second = await savedPid(options);
  t.equal(isAlive(second), true);
  await Promise.all([child.stop(), child.stop()]);
  t.equal(isAlive(second), false);
  await t.rejects(readFile(options.pidFile), { code: 'ENOENT' });
});

t.test('a stop while the program is being started again ends it for good', async (t) => {
  const options = await shell(t, `${READY} exec sleep 600`, { readyTimeoutMs: 1_000 });
  const { probe } = options;
  let first = 0;
  // Only the first start ever becomes ready.
  options.probe = async (pid) => {
    first ||= pid;
    if (pid !== first) throw new Error('never');
    await probe(pid);
  };
  const child = await startChild(options);
  t.teardown(() => child.stop());
  process.kill(first, 'SIGKILL');
  await until(async () => (await savedPid(options)) !== first, 'the second start is under way');
  const second = await savedPid(options);
  await child.stop();
  t.equal(isAlive(second), false);
});

t.test(
  'a leftover of an earlier process is stopped first; another program with its pid is not touched',
  async (t) => {
    const leftover = await stranger(t);
    const options = await shell(t, `${READY} exec sleep 600`);
    await writeFile(options.pidFile, JSON.stringify(leftover.identity));
    const child = await startChild(options);
    t.teardown(() => child.stop());
    t.equal(await leftover.gone, 'SIGTERM');
    await child.stop();

    const innocent = await stranger(t);
    for (const wrong of [{ startTime: '1' }, { bootId: 'another' }]) {
      await writeFile(options.pidFile, JSON.stringify({ ...innocent.identity, ...wrong }));
      await (await startChild(options)).stop();
      t.equal(isAlive(innocent.pid), true);
    }
    await writeFile(options.pidFile, 'not json');
    await (await startChild(options)).stop();
  },
);

t.test('a probe without an outcome is tried again', async (t) => {
  let asked = 0;
  const options = await shell(t, 'exec sleep 600', {
    probe: () => (++asked === 1 ? new Promise(() => undefined) : Promise.resolve()),
  });
  const child = await startChild(options);
  t.equal(asked, 2);
  await child.stop();
});
