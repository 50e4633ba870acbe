import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import t from 'tap';
import {
  DORMOUSE,
  dormouse,
  http,
  newDataDir,
  removeDataDir,
  run,
  tracesLeft,
  type View,
} from '../support/dormouse.ts';
import { startTestNats } from '../support/nats.ts';
import { startTestPostgres } from '../support/postgres.ts';

/** The roles as processes of their own, against servers that run already: two edges and two hosts on one machine. */

t.setTimeout(300_000);

const nats = await startTestNats(t);
const postgres = await startTestPostgres(t);
const KEY = 'dm_0123456789abcdef0123456789abcdef01234567';

interface Role {
  child: ChildProcess;
  dataDir: string;
  /** Waits for a line of its output and returns the part in parentheses. */
  says(pattern: RegExp): Promise<string>;
}

async function start(role: string): Promise<Role> {
  const dataDir = await newDataDir();
  const env = {
    ...process.env,
    NATS_URL: nats.url,
    DATABASE_URL: postgres.url,
    DORMOUSE_API_KEY: KEY,
    DORMOUSE_DATA_DIR: dataDir,
    DORMOUSE_HTTP_PORT: '0',
    DORMOUSE_STORE_SIZE_MB: '4096',
    DORMOUSE_LOG_LEVEL: 'warn',
  };
  const child = spawn(DORMOUSE[0], [...DORMOUSE.slice(1), role], { env, stdio: ['ignore', 'pipe', 'pipe'] });
  let printed = '';
  const changed = new Set<() => void>();
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (data: Buffer) => {
      printed += data.toString();
      for (const look of changed) look();
    });
  }
  t.teardown(async () => {
    if (child.exitCode === null) {
      child.kill('SIGTERM');
      await once(child, 'exit');
    }
    await removeDataDir(dataDir);
  });
  const says = (pattern: RegExp): Promise<string> =>
    new Promise((resolve, reject) => {
      const look = (): void => {
        const found = pattern.exec(printed);
        if (found) resolve(found[1] ?? found[0]);
      };
      changed.add(look);
      child.once('exit', () => reject(new Error(`dormouse ${role} ended:\n${printed}`)));
      look();
    });
  return { child, dataDir, says };
}

const roles = await Promise.all(
  ['edge', 'edge', 'scheduler', 'scheduler', 'projector', 'host', 'host'].map(start),
);
const [edgeA, edgeB] = await Promise.all(roles.slice(0, 2).map((edge) => edge.says(/edge: (http\S+)/)));
await Promise.all(roles.slice(2, 4).map((role) => role.says(/scheduler: ready/)));
const hostIds = await Promise.all(roles.slice(5).map((host) => host.says(/host: (\S+)/)));
const first = { url: edgeA ?? '', key: KEY };
const second = { url: edgeB ?? '', key: KEY };

interface ListedHost {
  used: { sandboxes: number };
  templates: Array<{ warm: string[] }>;
}

/** Waits until the directory says that of the hosts: the scheduler places sandboxes by it. */
async function listedHosts(what: string, isSo: (hosts: ListedHost[]) => boolean): Promise<void> {
  for (const end = Date.now() + 60_000; Date.now() < end; ) {
    const { stdout } = await dormouse(['host', 'list', '--json'], { NATS_URL: nats.url });
    if (isSo((JSON.parse(stdout) as { hosts: ListedHost[] }).hosts)) return;
  }
  throw new Error(`the directory does not know of ${what}`);
}

async function known(count: number): Promise<void> {
  await listedHosts(
    `${count} sandboxes`,
    (hosts) => hosts.reduce((sum, { used }) => sum + used.sandboxes, 0) >= count,
  );
}

/** The running sandboxes in the list, when they are those that are wanted or after 5 s. */
async function listed(wanted: string[]): Promise<string[]> {
  for (const end = Date.now() + 5_000; ; ) {
    const { body } = await http<{ sandboxes: View[] }>(second, 'GET', '/sandboxes?state=running');
    const ids = body.sandboxes.map(({ id }) => id).sort();
    if (ids.join() === wanted.join() || Date.now() > end) return ids;
  }
}

t.test('sandboxes are spread over both hosts, and each edge sees and commands all of them', async (t) => {
  // A host that has one comes before an emptier one that has none.
  await listedHosts('a saved machine on both', (hosts) =>
    hosts.every(({ templates }) => templates.some(({ warm }) => warm.length > 0)),
  );
  const made: View[] = [];
  for (let n = 0; n < 4; n += 1) {
    const { status, body } = await http<View>(n % 2 ? first : second, 'POST', '/sandboxes', {
      template: 'minimal',
      memory_mb: 256,
    });
    t.equal(status, 201, JSON.stringify(body));
    made.push(body);
    await known(n + 1);
  }
  t.same(
    [...new Set(made.map(({ host_id }) => host_id))].sort(),
    [...hostIds].sort(),
    'both hosts have some',
  );
  for (const { id } of made) {
    t.equal(await run(first, id, 'hostname'), id);
    t.equal((await http<View>(second, 'POST', `/sandboxes/${id}/pause`)).body.state, 'paused');
    t.equal((await http<View>(first, 'POST', `/sandboxes/${id}/resume`)).body.state, 'running');
  }
  const all = made.map(({ id }) => id).sort();
  t.same(await listed(all), all, 'the list, which follows the events, has all of them');
  for (const { id } of made)
    t.equal((await http<View>(first, 'DELETE', `/sandboxes/${id}`)).body.state, 'destroyed');
});

t.test('each role stops when it is asked to, and nothing is left', async (t) => {
  for (const { child } of roles) child.kill('SIGTERM');
  for (const { child, dataDir } of roles) {
    if (child.exitCode === null) await once(child, 'exit');
    t.equal(child.exitCode, 0);
    t.same(await tracesLeft(dataDir), []);
  }
});
