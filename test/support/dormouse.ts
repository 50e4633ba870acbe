import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { execa } from 'execa';

/** A real Dormouse for end-to-end tests: its own process, data directory and free port. */

const BIN = path.join(import.meta.dirname, '..', '..', 'bin', 'dormouse');
const START_LIMIT_MS = 120_000;
/**
 * The command line that runs Dormouse: the test runner puts its loaders into the environment of every Node that is
 * started, and they are for the tests, not for what these start.
 */
export const DORMOUSE = ['env', '-u', 'NODE_OPTIONS', process.execPath, BIN] as const;

export interface Running {
  url: string;
  key: string;
  natsUrl: string;
  dataDir: string;
  process: ChildProcess;
  /** What it printed so far. */
  output(): string;
  /** Asks it to stop and waits. Returns the exit status. */
  stop(): Promise<number | null>;
  /** SIGKILL, as a crash: virtual machines run on. */
  kill(): Promise<void>;
}

export interface Answer<T = Record<string, unknown>> {
  status: number;
  headers: Headers;
  body: T;
}

/** A sandbox as the edge shows it, as far as tests look at it. */
export interface View {
  id: string;
  team_id: string;
  state: string;
  step: string | null;
  allowed: string[];
  [key: string]: unknown;
}

/** A data directory with a short path: unix sockets are below it. */
export function newDataDir(): Promise<string> {
  return mkdtemp(path.join(os.tmpdir(), 'dm-e2e-'));
}

/**
 * Starts `dormouse up` on a data directory and waits until it is ready.
 *
 * @param bin the program, when it is not that of this checkout
 */
export async function startDormouse(
  dataDir: string,
  settings: Record<string, string> = {},
  args: string[] = ['up'],
  bin: string = BIN,
): Promise<Running> {
  const environment = {
    ...process.env,
    DORMOUSE_DATA_DIR: dataDir,
    DORMOUSE_HTTP_PORT: '0',
    DORMOUSE_STORE_SIZE_MB: '8192',
    ...settings,
  };
  const child = spawn(DORMOUSE[0], [...DORMOUSE.slice(1, -1), bin, ...args], {
    env: environment,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let printed = '';
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (data: Buffer) => (printed += data.toString()));
  const exited = once(child, 'exit');
  const giveUp = Date.now() + START_LIMIT_MS;
  let info: { url: string; nats_url: string; pid: number } | undefined;
  while (!info) {
    if (child.exitCode !== null || child.signalCode !== null || Date.now() > giveUp)
      throw new Error(`dormouse did not start:\n${printed}\n${await logTail(dataDir)}`);
    await sleep(100);
    info = await readFile(path.join(dataDir, 'server.json'), 'utf8').then(
      (text) => {
        const found = JSON.parse(text) as { url: string; nats_url: string; pid: number };
        // One that was killed has left its file behind.
        return isOf(child, found.pid) ? found : undefined;
      },
      () => undefined,
    );
  }
  const key = (await readFile(path.join(dataDir, 'api-key'), 'utf8')).trim();
  return {
    url: info.url,
    key,
    natsUrl: info.nats_url,
    dataDir,
    process: child,
    output: () => printed,
    async stop() {
      if (child.exitCode === null) child.kill('SIGTERM');
      await exited;
      return child.exitCode;
    },
    async kill() {
      process.kill(info.pid, 'SIGKILL');
      await exited;
    },
  };
}

/** Removes a data directory, with the file system that may be mounted in it. */
export async function removeDataDir(dataDir: string): Promise<void> {
  await execa('umount', ['--lazy', path.join(dataDir, 'store')], { reject: false });
  await rm(dataDir, { recursive: true, force: true });
}

/** Sends a request to the edge, with the key. */
export async function http<T = Record<string, unknown>>(
  server: Pick<Running, 'url' | 'key'>,
  method: string,
  where: string,
  body?: unknown,
  headers: Record<string, string> = {},
): Promise<Answer<T>> {
  const response = await fetch(`${server.url}/v1${where}`, {
    method,
    headers: {
      'x-api-key': server.key,
      ...(body !== undefined && { 'content-type': 'application/json' }),
      ...headers,
    },
    ...(body !== undefined && { body: typeof body === 'string' ? body : JSON.stringify(body) }),
  });
  const text = await response.text();
  return {
    status: response.status,
    headers: response.headers,
    body: (text ? JSON.parse(text) : undefined) as T,
  };
}

/** Looks at a sandbox until it is as wanted, at most 20 s; returns what was seen last. */
export async function eventually(
  server: Pick<Running, 'url' | 'key'>,
  id: string,
  wanted: (view: View) => boolean,
): Promise<View> {
  for (const end = Date.now() + 20_000; ; await sleep(20)) {
    const { body } = await http<View>(server, 'GET', `/sandboxes/${id}`);
    if (wanted(body) || Date.now() > end) return body;
  }
}

/** Runs a shell command in a sandbox and returns its standard output, without the last line break. Throws unless it exits with 0. */
export async function run(server: Pick<Running, 'url' | 'key'>, id: string, cmd: string): Promise<string> {
  const { status, body } = await http<{ exit_code: number; stdout: string; stderr: string }>(
    server,
    'POST',
    `/sandboxes/${id}/exec`,
    { cmd },
  );
  if (status !== 200 || body.exit_code !== 0) throw new Error(`${cmd}: ${status} ${JSON.stringify(body)}`);
  return body.stdout.replace(/\n$/, '');
}

/** What of this data directory, or of any Dormouse on it, is on the machine: processes and mounts. */
export async function traces(dataDir: string): Promise<string[]> {
  const found: string[] = [];
  const { stdout: processes } = await execa('ps', ['-eo', 'pid,args', '--no-headers'], {});
  for (const line of processes.split('\n'))
    if (line.includes(dataDir) && !line.includes('ps -eo')) found.push(`process ${line.trim()}`);
  const mounts = await readFile('/proc/self/mounts', 'utf8');
  for (const line of mounts.split('\n')) if (line.includes(dataDir)) found.push(`mount ${line}`);
  const { stdout: loops } = await execa('losetup', ['--list', '--noheadings', '--output', 'NAME,BACK-FILE'], {
    reject: false,
  });
  for (const line of loops.split('\n')) if (line.includes(dataDir)) found.push(`loop ${line.trim()}`);
  return found;
}

/** Runs a command of the command line to its end, or for that long at most. */
export async function dormouse(
  args: readonly string[],
  settings: Record<string, string>,
  limitMs = 120_000,
): Promise<{ exitCode: number | undefined; stdout: string; stderr: string }> {
  const { exitCode, stdout, stderr } = await execa(DORMOUSE[0], [...DORMOUSE.slice(1), ...args], {
    env: settings,
    reject: false,
    timeout: limitMs,
  });
  return { exitCode, stdout, stderr };
}

/** What is left when everything has had a moment to go: the kernel detaches a loop device some time after its last user. */
export async function tracesLeft(dataDir: string): Promise<string[]> {
  for (const end = Date.now() + 20_000; ; await sleep(50)) {
    const found = await traces(dataDir);
    if (found.length === 0 || Date.now() > end) return found;
  }
}

/** True when the process is the child or was started by it (the launcher starts the pinned Node). */
function isOf(child: ChildProcess, pid: number): boolean {
  return pid === child.pid || parentOf(pid) === child.pid;
}

function parentOf(pid: number): number | undefined {
  try {
    const { readFileSync } = process.getBuiltinModule('node:fs');
    return Number(readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ')[1]);
  } catch {
    return undefined;
  }
}

/** The last lines of its log, without those of single requests, of which there are many. */
export async function logTail(dataDir: string): Promise<string> {
  const text = await readFile(path.join(dataDir, 'dormouse.log'), 'utf8').catch(() => '');
  const lines = text.split('\n').filter((line) => !line.includes('"msg":"request"'));
  return lines.slice(-100).join('\n');
}
