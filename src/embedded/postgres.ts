import {
  chmod,
  chown,
  mkdir,
  readdir,
  readFile,
  readlink,
  rename,
  rm,
  stat,
  writeFile,
} from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { execa } from 'execa';
import type { Clock } from '../clock.ts';
import { DormouseError, hasCode } from '../errors/index.ts';
import type { Logger } from '../log.ts';
import { findProgram, startChild } from './child.ts';

/** Name of the database and of the only role. */
const NAME = 'dormouse';
/** Part of the socket's name; nothing listens on a port. */
const PORT = 5432;
/** Longest path of a unix socket, in bytes, without its final NUL (unix(7)). */
const SOCKET_PATH_MAX = 107;
/** Where Debian and Ubuntu install each major version. What `PATH` has may be another program of the same name. */
const DEBIAN_VERSIONS = '/usr/lib/postgresql';
const READY_TIMEOUT_MS = 60_000;
const STOP_GRACE_MS = 20_000;
const INITDB_TIMEOUT_MS = 120_000;
const LEFTOVER_POLL_MS = 20;
const LOG_FILE = 'postgres.log';
const LOG_LINES = 10;

/** Small, since the machine belongs to the sandboxes. Durability is as PostgreSQL has it: fsync and synchronous commit. */
const SETTINGS = {
  listen_addresses: '',
  port: PORT,
  unix_socket_permissions: '0700',
  shared_buffers: '32MB',
  max_connections: 50,
  jit: 'off',
  huge_pages: 'off',
  // Nothing replicates a private cluster.
  wal_level: 'minimal',
  max_wal_senders: 0,
  min_wal_size: '32MB',
  max_wal_size: '128MB',
  timezone: 'UTC',
  log_timezone: 'UTC',
  logging_collector: 'on',
  log_filename: LOG_FILE,
  log_rotation_age: 0,
  log_rotation_size: 0,
} as const;

export interface EmbeddedPostgres {
  /** Connection URL with the socket's folder as `host`. Stays the same for a folder. */
  url: string;
  /** Stops the server. May be called any number of times. */
  stop(): Promise<void>;
}

/** A user without privileges; PostgreSQL refuses to run as root. */
interface ServerUser {
  uid: number;
  gid: number;
}

interface Cluster {
  /** Folder of the server's programs. */
  bin: string;
  dir: string;
  data: string;
  /** Folder of the socket. */
  run: string;
  logs: string;
  /** Undefined when it is the user of this process. */
  user: ServerUser | undefined;
}

/**
 * Starts the private PostgreSQL cluster of a data directory, made at the first start. It listens on a unix socket only,
 * in a folder that nobody else can enter, and lets in only the user of this process (peer authentication). As root, the
 * server runs as `postgres`, or as `nobody` where that user does not exist; the folders above `dir` then become
 * passable, not readable, for others. A server that dies is started again.
 *
 * @param options.dir folder of this cluster alone; made when it does not exist
 * @throws `DEPENDENCY_MISSING` when PostgreSQL is not installed, or not in the major version that made the cluster;
 * `CHILD_FAILED` with the log's last lines when it does not come up; `DATA_DIR_TOO_LONG` when the socket's path is too long, `CONFIG_INVALID`
 * when it has a comma
 */
export async function startPostgres(options: {
  dir: string;
  clock: Clock;
  log: Logger;
}): Promise<EmbeddedPostgres> {
  const { clock, log } = options;
  const dir = path.resolve(options.dir);
  const data = path.join(dir, 'data');
  const run = path.join(dir, 'run');
  refuseUnusablePath(run);
  const cluster: Cluster = {
    bin: await programsFor(data),
    dir,
    data,
    run,
    logs: path.join(dir, 'log'),
    user: process.getuid?.() === 0 ? await unprivilegedUser() : undefined,
  };
  await makeFolders(cluster, log);
  await writeAccessRules(dir);
  await stopPostmaster(data, clock, log);
  await ensureCluster(cluster, log);
  const psql = await findProgram('psql', 'postgresql', [cluster.bin]);
  try {
    const child = await startChild({
      name: 'postgres',
      program: path.join(cluster.bin, 'postgres'),
      args: () => ['-D', data, ...settings(cluster)],
      cwd: dir,
      ...(cluster.user ? { user: cluster.user } : {}),
      // SIGINT is the fast shutdown: clients are sent away. SIGTERM would wait for them.
      stopSignal: 'SIGINT',
      stopGraceMs: STOP_GRACE_MS,
      readyTimeoutMs: READY_TIMEOUT_MS,
      probe: async () => {
        await execa(psql, [...connection(run), '--command', 'select 1'], bare());
      },
      pidFile: path.join(dir, 'pid.json'),
      clock,
      log,
    });
    return { url: urlOf(run), stop: child.stop };
  } catch (error) {
    if (!hasCode(error, 'CHILD_FAILED')) throw error;
    const lines = await lastLogLines(cluster.logs);
    throw new DormouseError(
      'CHILD_FAILED',
      `${error.detail} Its log ends: ${lines.join(' | ') || '(empty)'}`,
      {
        data: { ...error.data, log: lines },
        cause: error.cause,
      },
    );
  }
}

/** As libpq and `pg` read it; a form that is also a URL for everybody else, which `user@/name` is not. */
function urlOf(run: string): string {
  return `postgresql:///${NAME}?${new URLSearchParams({ host: run, port: String(PORT), user: NAME })}`;
}

function connection(run: string): string[] {
  return [
    '--no-psqlrc',
    '--quiet',
    '--host',
    run,
    '--port',
    String(PORT),
    '--username',
    NAME,
    '--dbname',
    NAME,
  ];
}

function refuseUnusablePath(run: string): void {
  if (run.includes(','))
    throw new DormouseError(
      'CONFIG_INVALID',
      `The path ${run} has a comma, where PostgreSQL's clients begin another host. Choose another data directory.`,
    );
  const bytes = Buffer.byteLength(path.join(run, `.s.PGSQL.${PORT}`));
  if (bytes > SOCKET_PATH_MAX)
    throw new DormouseError(
      'DATA_DIR_TOO_LONG',
      `The path of PostgreSQL's socket would have ${bytes} bytes; ${SOCKET_PATH_MAX} are possible. Choose a shorter data directory.`,
    );
}

/** The caller's PG… variables must not reach the programs: they would redirect them. */
function bare(): { env: Record<string, string>; extendEnv: false; stdin: 'ignore'; timeout: number } {
  return {
    env: { PATH: process.env.PATH ?? '', LC_ALL: 'C' },
    extendEnv: false,
    stdin: 'ignore',
    timeout: INITDB_TIMEOUT_MS,
  };
}

/** Folder of the programs: of the cluster's own major version, or of the newest that is installed when there is no cluster. */
async function programsFor(data: string): Promise<string> {
  const made = await readFile(path.join(data, 'PG_VERSION'), 'utf8').then(
    (text) => text.trim(),
    () => undefined,
  );
  const installed = await readdir(DEBIAN_VERSIONS).catch(() => []);
  const versions = made ? [made] : installed.toSorted((a, b) => Number(b) - Number(a));
  const folders = versions.map((version) => path.join(DEBIAN_VERSIONS, version, 'bin'));
  const debianPackage = made ? `postgresql-${made}` : 'postgresql';
  const initdb = await findProgram('initdb', debianPackage, folders);
  const bin = path.dirname(initdb);
  if (made) {
    const { stdout } = await execa(path.join(bin, 'postgres'), ['--version'], bare());
    if (/\d+/.exec(stdout)?.[0] !== made)
      throw new DormouseError(
        'DEPENDENCY_MISSING',
        `${data} was made by PostgreSQL ${made}, and ${stdout.trim()} is installed. On Debian and Ubuntu: apt-get install ${debianPackage}`,
        { data: { program: 'postgres', package: debianPackage } },
      );
  }
  return bin;
}

/** The user that the server runs as when we are root. */
async function unprivilegedUser(): Promise<ServerUser> {
  const { stdout } = await execa('getent', ['passwd', 'postgres', 'nobody'], { ...bare(), reject: false });
  const [, , uid, gid] = stdout.split('\n')[0]?.split(':') ?? [];
  if (!uid || !gid)
    throw new DormouseError(
      'DEPENDENCY_MISSING',
      'There is neither a user postgres nor a user nobody that PostgreSQL could run as. On Debian and Ubuntu: apt-get install postgresql',
      { data: { program: 'postgres', package: 'postgresql' } },
    );
  return { uid: Number(uid), gid: Number(gid) };
}

/** The cluster's folder stays ours; only what the server writes is the server's. */
async function makeFolders(cluster: Cluster, log: Logger): Promise<void> {
  const { dir, run, logs, user } = cluster;
  await mkdir(dir, { recursive: true, mode: 0o700 });
  for (const folder of [run, logs]) {
    await mkdir(folder, { recursive: true, mode: 0o700 });
    if (user) await chown(folder, user.uid, user.gid);
    await chmod(folder, 0o700);
  }
  if (user) await makePassable(dir, log);
}

/** Lets other users pass through the folder and those above it, without letting them list one. */
async function makePassable(folder: string, log: Logger): Promise<void> {
  const { mode } = await stat(folder);
  if ((mode & 0o001) === 0) {
    await chmod(folder, (mode & 0o7777) | 0o001);
    log.info({ folder }, 'the folder is passable for the user of PostgreSQL now');
  }
  if (path.dirname(folder) !== folder) await makePassable(path.dirname(folder), log);
}

/** Only the user of this process gets in, as the one role. The kernel tells the server who connects (unix(7), SO_PEERCRED). */
async function writeAccessRules(dir: string): Promise<void> {
  await writeFile(path.join(dir, 'hba.conf'), `local all ${NAME} peer map=${NAME}\n`);
  await writeFile(path.join(dir, 'ident.conf'), `${NAME} "${os.userInfo().username}" ${NAME}\n`);
  for (const name of ['hba.conf', 'ident.conf']) await chmod(path.join(dir, name), 0o644);
}

function settings({ dir, run, logs }: Cluster): string[] {
  const all = {
    ...SETTINGS,
    hba_file: path.join(dir, 'hba.conf'),
    ident_file: path.join(dir, 'ident.conf'),
    // A list, in which a quoted name may have any character.
    unix_socket_directories: `"${run.replaceAll('"', '""')}"`,
    log_directory: logs,
  };
  return Object.entries(all).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
}

/**
 * Makes the cluster with its database unless there is one. It is made aside and renamed, so that a start that was
 * interrupted leaves none that is half done.
 */
async function ensureCluster(cluster: Cluster, log: Logger): Promise<void> {
  const { bin, data } = cluster;
  const there = await stat(path.join(data, 'PG_VERSION')).then(
    () => true,
    () => false,
  );
  if (there) return;
  const aside = `${data}.new`;
  await rm(aside, { recursive: true, force: true });
  await mkdir(aside, { mode: 0o700 });
  if (cluster.user) await chown(aside, cluster.user.uid, cluster.user.gid);
  await runAsServer(cluster, path.join(bin, 'initdb'), [
    ...['-D', aside, '--username', NAME, '--encoding', 'UTF8', '--locale', 'C'],
    ...['--auth-local', 'peer', '--auth-host', 'reject'],
  ]);
  // Single-user mode needs no server, so nobody can connect to a cluster that is not ready.
  const single = ['--single', '-D', aside, 'template1'];
  await runAsServer(cluster, path.join(bin, 'postgres'), single, `create database ${NAME};\n`);
  await rename(aside, data);
  log.info({ data }, 'made a PostgreSQL cluster');
}

async function runAsServer(
  { user, dir }: Cluster,
  program: string,
  args: string[],
  input = '',
): Promise<void> {
  const setpriv = await findProgram('setpriv', 'util-linux');
  const asUser = user ? [`--reuid=${user.uid}`, `--regid=${user.gid}`, '--clear-groups'] : [];
  const { stdin: _, ...rest } = bare();
  const result = await execa(setpriv, ['--pdeathsig', 'TERM', ...asUser, '--', program, ...args], {
    ...rest,
    input,
    cwd: dir,
    all: true,
    reject: false,
  });
  if (result.failed)
    throw new DormouseError(
      'CHILD_FAILED',
      `${path.basename(program)} failed: ${String(result.all).split('\n').slice(-LOG_LINES).join(' | ')}`,
      { data: { program } },
    );
}

/**
 * Stops the server that the cluster's own lock file names, if it runs on this cluster: one whose agent was killed before
 * it noted the pid. A process with the same pid that works anywhere else is not touched.
 */
async function stopPostmaster(data: string, clock: Clock, log: Logger): Promise<void> {
  const pid = await postmasterOf(data);
  if (pid === undefined) return;
  log.warn({ child: 'postgres', pid }, 'stopping a server that an earlier process left behind');
  process.kill(pid, 'SIGINT');
  const forceAt = clock.monotonicMs() + STOP_GRACE_MS;
  let forced = false;
  while ((await postmasterOf(data)) === pid) {
    if (!forced && clock.monotonicMs() >= forceAt) {
      forced = true;
      // The immediate shutdown; the next start recovers from the log.
      process.kill(pid, 'SIGQUIT');
    }
    await clock.sleep(LEFTOVER_POLL_MS);
  }
}

/** Pid of the server that runs on the cluster. A postmaster's working directory is its cluster. */
async function postmasterOf(data: string): Promise<number | undefined> {
  const pid = await readFile(path.join(data, 'postmaster.pid'), 'utf8').then(
    (text) => Number(text.split('\n')[0]),
    () => Number.NaN,
  );
  if (!Number.isSafeInteger(pid) || pid <= 1) return undefined;
  const cwd = await readlink(`/proc/${pid}/cwd`).catch(() => undefined);
  return cwd === data ? pid : undefined;
}

async function lastLogLines(logs: string): Promise<string[]> {
  const text = await readFile(path.join(logs, LOG_FILE), 'utf8').catch(() => '');
  return text.trimEnd().split('\n').slice(-LOG_LINES).filter(Boolean);
}
