import { once } from 'node:events';
import { chmod, mkdir, mkdtemp, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { execa } from 'execa';
import t, { type Test } from 'tap';
import { systemClock } from '../../src/clock.ts';
import { startPostgres } from '../../src/embedded/postgres.ts';
import { openDatabase } from '../../src/records/database.ts';
import { silentLog, until } from '../support/nats.ts';

const options = { clock: systemClock, log: silentLog };
const AGENT = fileURLToPath(new URL('../support/embedded-postgres-agent.ts', import.meta.url));
const IS_ROOT = process.getuid?.() === 0;

async function temporaryFolder(t: Test): Promise<string> {
  const dir = await mkdtemp(path.join(os.tmpdir(), 'dm-pg-'));
  t.teardown(() => rm(dir, { recursive: true, force: true, maxRetries: 5 }));
  return dir;
}

async function query<T = Record<string, unknown>>(url: string, sql: string): Promise<T[]> {
  const db = openDatabase({ url, ...options });
  try {
    return await db.run((em) => em.getConnection().execute(sql));
  } finally {
    await db.close();
  }
}

async function postmaster(dir: string): Promise<number> {
  return Number((await readFile(path.join(dir, 'data', 'postmaster.pid'), 'utf8')).split('\n')[0]);
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

t.test('the private cluster', async (t) => {
  const dir = path.join(await temporaryFolder(t), 'postgres');
  const server = await startPostgres({ dir, ...options });
  t.teardown(() => server.stop());

  await t.test('answers on its socket and nowhere else', async (t) => {
    t.ok(URL.canParse(server.url), 'the address is a URL also for programs that know no unix sockets');
    t.same(await query(server.url, 'select current_database() as name, current_user as me'), [
      { name: 'dormouse', me: 'dormouse' },
    ]);
    const settings = await query<{ name: string; setting: string }>(
      server.url,
      `select name, setting from pg_settings where name in ('listen_addresses', 'fsync', 'synchronous_commit', 'jit', 'server_encoding') order by name`,
    );
    t.same(
      settings.map(({ name, setting }) => `${name}=${setting}`),
      ['fsync=on', 'jit=off', 'listen_addresses=', 'server_encoding=UTF8', 'synchronous_commit=on'],
    );
    const socketUrl = `postgresql://dormouse@/dormouse?host=${path.join(dir, 'run')}&port=5432`;
    t.same(await query(socketUrl, 'select 1 as one'), [{ one: 1 }], 'as libpq writes it');
  });

  await t.test('lets in nobody else', async (t) => {
    t.equal((await stat(path.join(dir, 'run'))).mode & 0o777, 0o700);
    t.equal((await stat(path.join(dir, 'data'))).mode & 0o777, 0o700);
    t.equal((await stat(dir)).mode & 0o066, 0, 'the folder cannot be listed');
    const socketUrl = (user: string) => `postgresql:///dormouse?host=${path.join(dir, 'run')}&user=${user}`;
    await t.rejects(query(socketUrl('postgres'), 'select 1'), { code: 'RECORDS_UNAVAILABLE' });
    if (!IS_ROOT) return;
    t.not((await stat(`/proc/${await postmaster(dir)}`)).uid, 0, 'the server is not root');
    const asOther = (uid: number) =>
      execa(
        'setpriv',
        [`--reuid=${uid}`, `--regid=${uid}`, '--clear-groups', '--', 'psql', socketUrl('dormouse'), '-c', ''],
        { reject: false, cwd: '/' },
      );
    t.match((await asOther(65534)).stderr, /Permission denied/);
    const serverUid = (await stat(path.join(dir, 'data'))).uid;
    t.match((await asOther(serverUid)).stderr, /Peer authentication failed/, 'not even its own user');
  });

  await t.test('comes back when it is killed', async (t) => {
    const killed = await postmaster(dir);
    process.kill(killed, 'SIGKILL');
    const answers = () =>
      query(server.url, 'select 1').then(
        () => true,
        () => false,
      );
    await until(async () => !isAlive(killed) && (await answers()), 'it answers again', 60_000);
    t.not(await postmaster(dir), killed);
  });

  await t.test('keeps its data and its address over a stop and a start', async (t) => {
    await query(server.url, 'create table kept (x int); insert into kept values (42)');
    const pid = await postmaster(dir);
    await server.stop();
    await server.stop();
    t.equal(isAlive(pid), false);
    t.notOk((await readdir(dir)).includes('pid.json'));
    const again = await startPostgres({ dir, ...options });
    t.teardown(() => again.stop());
    t.equal(again.url, server.url);
    t.same(await query(again.url, 'select x from kept'), [{ x: 42 }]);
    await again.stop();
  });

  await t.test('a killed agent', async (t) => {
    const agent = execa(process.execPath, [AGENT, dir], { reject: false });
    t.teardown(() => agent.kill('SIGKILL'));
    await once(agent.stdout, 'data');
    const pid = await postmaster(dir);
    t.equal(isAlive(pid), true);
    agent.kill('SIGKILL');
    // At once: the server may be on its way down while the next agent starts.
    const server = await startPostgres({ dir, ...options });
    t.teardown(() => server.stop());
    t.not(await postmaster(dir), pid);
    await until(() => !isAlive(pid), 'the server has ended with its agent');
    await server.stop();
  });

  await t.test('a server whose pid nobody noted', async (t) => {
    const agent = execa(process.execPath, [AGENT, dir], { reject: false });
    t.teardown(() => agent.kill('SIGKILL'));
    await once(agent.stdout, 'data');
    const pid = await postmaster(dir);
    await rm(path.join(dir, 'pid.json'));
    // The agent is stopped, so that it does not restart what the next one stops.
    agent.kill('SIGSTOP');
    const server = await startPostgres({ dir, ...options });
    t.teardown(() => server.stop());
    t.not(await postmaster(dir), pid);
    t.same(await query(server.url, 'select 1 as one'), [{ one: 1 }]);
    await server.stop();
  });

  await t.test('a lock file that names somebody else', async (t) => {
    const stranger = execa('sleep', ['600'], { reject: false, cwd: '/' });
    t.teardown(() => stranger.kill('SIGKILL'));
    await once(stranger.nodeChildProcess, 'spawn');
    await writeFile(path.join(dir, 'data', 'postmaster.pid'), `${stranger.nodeChildProcess.pid}\n`);
    // PostgreSQL itself may refuse the file or replace it; what counts is that the stranger lives.
    const server = await startPostgres({ dir, ...options }).catch(() => undefined);
    await server?.stop();
    t.equal(isAlive(stranger.nodeChildProcess.pid!), true);
  });

  await t.test('a cluster that is damaged', async (t) => {
    const control = path.join(dir, 'data', 'global', 'pg_control');
    await rename(control, `${control}.kept`);
    await t.rejects(startPostgres({ dir, ...options }), {
      code: 'CHILD_FAILED',
      detail: /postgres did not come up.*could not.*pg_control/,
    });
    await rename(`${control}.kept`, control);
  });

  await t.test('a cluster of a version that is not installed', async (t) => {
    await writeFile(path.join(dir, 'data', 'PG_VERSION'), '9\n');
    await t.rejects(startPostgres({ dir, ...options }), {
      code: 'DEPENDENCY_MISSING',
      detail: /postgresql-9/,
    });
  });

  await t.test('a path that no socket can have', async (t) => {
    await t.rejects(startPostgres({ dir: path.join(dir, 'x'.repeat(90)), ...options }), {
      code: 'DATA_DIR_TOO_LONG',
    });
    await t.rejects(startPostgres({ dir: path.join(dir, 'a,b'), ...options }), { code: 'CONFIG_INVALID' });
  });
});

t.test('a cluster below folders that only root can enter', { skip: !IS_ROOT }, async (t) => {
  const top = await temporaryFolder(t);
  const dir = path.join(top, 'a "quoted" folder', 'postgres');
  await mkdir(path.dirname(dir), { mode: 0o700 });
  await chmod(top, 0o700);
  // What a start that was interrupted in the middle leaves.
  await mkdir(path.join(dir, 'data.new', 'base'), { recursive: true });
  const server = await startPostgres({ dir, ...options });
  t.teardown(() => server.stop());
  t.same(await query(server.url, 'select 1 as one'), [{ one: 1 }]);
  t.equal((await stat(top)).mode & 0o777, 0o701, 'it can be passed, and neither read nor written');
  await server.stop();
});
