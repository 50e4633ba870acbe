import { open, readFile, truncate, writeFile } from 'node:fs/promises';
import { ExecaError, execa } from 'execa';
import { fileError, makeFolder } from '../durable-file.ts';
import { DormouseError } from '../errors/index.ts';
import type { Paths } from '../paths.ts';

export interface DataDirLock {
  /** Gives the data directory free. May be called again. */
  release(): Promise<void>;
}

/** What flock answers when somebody else holds the lock; any other status is a failure of its own. */
const CONFLICT_STATUS = 75;
/** How long the lock of a process that is gone is waited for, in seconds: its child has to notice that it is alone. */
const LET_GO_S = 5;

/**
 * Locks the data directory for this process with flock(2), held by a child: Node cannot lock a file. The child is
 * `cat`, reading a pipe from us, so it ends and the kernel drops the lock as soon as this process is gone, however it
 * ends. It runs in a session of its own, because a Ctrl-C at the terminal must not end it before we have finished.
 *
 * That child ends a moment after its process, so a process that was killed may be started again at once: the lock is waited
 * for when the one that the file names is gone.
 *
 * @throws `DATA_DIR_IN_USE` with the pid of the other holder, `DATA_DIR_UNWRITABLE`, `DISK_FULL`
 */
export async function lockDataDir(paths: Pick<Paths, 'root' | 'lock'>): Promise<DataDirLock> {
  await makeFolder(paths.root);
  await touch(paths.lock);
  const patience = (await wasLeft(paths.lock)) ? ['--timeout', String(LET_GO_S)] : ['--nonblock'];
  const holder = execa(
    'flock',
    [...patience, '--no-fork', '--conflict-exit-code', String(CONFLICT_STATUS), paths.lock, 'cat'],
    { stdin: 'pipe', stderr: 'pipe', buffer: { stdout: false }, detached: true, env: { LC_ALL: 'C' } },
  );
  const ended = holder.then(
    () => undefined,
    (error: unknown) => error,
  );
  // What cat sends back it got after flock had the lock and became cat.
  const { stdin, stdout } = holder;
  stdin.on('error', () => {});
  stdin.write('.');
  const locked = await Promise.race([
    new Promise<true>((resolve) => stdout.once('data', () => resolve(true))),
    ended.then(() => false as const),
  ]);
  if (!locked) throw await refusal(paths, await ended);

  const handles: Array<{ ref?(): void; unref?(): void }> = [
    holder.nodeChildProcess,
    ...([stdin, stdout, holder.stderr] as Array<{ ref?(): void; unref?(): void }>),
  ];
  const release = async (): Promise<void> => {
    for (const handle of handles) handle.ref?.();
    await truncate(paths.lock).catch(() => {});
    stdin.end();
    await ended;
  };
  try {
    await writeFile(paths.lock, `${process.pid}\n`);
  } catch (error) {
    await release();
    throw fileError(paths.lock, error);
  }
  // A lock is no reason for a process to stay; that it ends gives the lock free.
  for (const handle of handles) handle.unref?.();
  let released: Promise<void> | undefined;
  return {
    release() {
      released ??= release();
      return released;
    },
  };
}

/** Makes sure that the lock file is there and can be written. */
async function touch(file: string): Promise<void> {
  try {
    await (await open(file, 'a', 0o600)).close();
  } catch (error) {
    throw fileError(file, error);
  }
}

/** Whether the lock file names a process that has ended without releasing it. */
async function wasLeft(file: string): Promise<boolean> {
  const pid = await holderIn(file);
  if (pid === undefined) return false;
  // The third field, after the name in parentheses: one that has ended may stay as a zombie until it is waited for.
  const state = await readFile(`/proc/${pid}/stat`, 'utf8').then(
    (text) => text.slice(text.lastIndexOf(')') + 2, text.lastIndexOf(')') + 3),
    () => 'X',
  );
  return state === 'Z' || state === 'X';
}

/** The process that wrote its pid into the lock file. */
async function holderIn(file: string): Promise<number | undefined> {
  const pid = Number.parseInt(await readFile(file, 'utf8').catch(() => ''), 10);
  return Number.isInteger(pid) ? pid : undefined;
}

async function refusal(paths: Pick<Paths, 'root' | 'lock'>, error: unknown): Promise<DormouseError> {
  if (!(error instanceof ExecaError) || error.exitCode !== CONFLICT_STATUS) {
    return new DormouseError('DATA_DIR_UNWRITABLE', `${paths.lock} could not be locked.`, { cause: error });
  }
  const pid = await holderIn(paths.lock);
  const who = pid === undefined ? 'another process' : `process ${pid}`;
  return new DormouseError(
    'DATA_DIR_IN_USE',
    `The data directory ${paths.root} is in use by ${who}. Stop it, or choose another with DORMOUSE_DATA_DIR.`,
    { data: { data_dir: paths.root, ...(pid === undefined ? {} : { pid }) } },
  );
}
