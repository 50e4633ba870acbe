import { constants } from 'node:fs';
import { access, readFile, rename, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { execa } from 'execa';
import type { Clock } from '../clock.ts';
import { DormouseError, messageOf } from '../errors/index.ts';
import type { Logger } from '../log.ts';

/**
 * Keeps one server running as a child of this process: NATS and PostgreSQL of the embedded set-up.
 *
 * 1. A server that an earlier, killed process left behind is stopped first. It is known by its pid together with its
 *    start time and the boot it belongs to, so that another program that got the same pid is never touched.
 * 2. The kernel ends the child when this process is killed (`setpriv --pdeathsig`, prctl(2) PR_SET_PDEATHSIG).
 * 3. A child that ends by itself is started again, later each time, for as long as it takes: what runs on this host
 *    does not need it, and waits.
 */
export interface ChildOptions {
  /** For log and errors, such as `nats-server`. */
  name: string;
  /** Absolute path; see `findProgram`. */
  program: string;
  /** Asked before each start, because a later start may need what an earlier one found out (the port). */
  args: () => readonly string[];
  env?: Readonly<Record<string, string>>;
  cwd?: string;
  /** Runs the program as this user, with no other groups. */
  user?: { uid: number; gid: number };
  /** Signal that ends the program in order; also what the kernel sends when this process is killed. */
  stopSignal: 'SIGTERM' | 'SIGINT';
  /** How long the program may take to end before it gets SIGKILL, in milliseconds. */
  stopGraceMs: number;
  /** Resolves when the program answers. Tried again until it does, also when it does not settle; `pid` is the program's. */
  probe: (pid: number) => Promise<void>;
  /** How long the program may take until it answers, in milliseconds. */
  readyTimeoutMs: number;
  /** Written by this supervisor, in a folder that belongs to this one server. */
  pidFile: string;
  clock: Clock;
  log: Logger;
}

export interface Child {
  /** Stops the program and its supervision. May be called any number of times. */
  stop(): Promise<void>;
}

const PROBE_INTERVAL_MS = 20;
/** A probe that takes longer has failed, in milliseconds: whatever it waits for, the child is looked at again. */
const PROBE_LIMIT_MS = 5_000;
const LOG_LINES = 20;
/** How long the rest of a program's output is waited for after its exit, in milliseconds. */
const OUTPUT_GRACE_MS = 200;
const RESTART_FIRST_MS = 100;
const RESTART_LONGEST_MS = 10_000;
/** A child that ran this long has recovered: the next restart is quick again. */
const RECOVERED_AFTER_MS = 30_000;

/** One run of the program, from its start to its exit. */
interface Run {
  pid: number;
  /** Resolves, never rejects, with why the program ended. */
  exited: Promise<string>;
  kill(signal: NodeJS.Signals): void;
}

/**
 * Starts the program, waits until it answers, and keeps it running until `stop`.
 *
 * @throws `CHILD_FAILED` with the last lines of its output when the first start does not come up; nothing is left running
 * @throws `DEPENDENCY_MISSING` when `setpriv` is not installed
 */
export async function startChild(options: ChildOptions): Promise<Child> {
  const { clock, log, name, pidFile } = options;
  const setpriv = await findProgram('setpriv', 'util-linux');
  const stopping = new AbortController();
  const lastLines: string[] = [];
  let run: Run | undefined;

  await stopLeftover(options);

  async function startOnce(): Promise<void> {
    lastLines.length = 0;
    const started = await launch(options, setpriv, lastLines);
    run = started;
    await writePidFile(pidFile, started.pid).catch(async (cause: unknown) => {
      await end(started, options);
      throw new DormouseError('CHILD_FAILED', `${name} was ended again: its pid file could not be written.`, {
        cause,
      });
    });
    let exit: string | undefined;
    void started.exited.then((why) => {
      exit = why;
    });
    const giveUpAt = clock.monotonicMs() + options.readyTimeoutMs;
    for (;;) {
      let problem: unknown;
      try {
        await settled(options, started.pid);
        return;
      } catch (error) {
        problem = error;
      }
      const failure =
        exit ??
        (stopping.signal.aborted ? 'it was told to stop' : undefined) ??
        (clock.monotonicMs() >= giveUpAt ? 'it did not answer in time' : undefined);
      if (failure !== undefined) {
        await end(started, options);
        throw new DormouseError(
          'CHILD_FAILED',
          `${name} did not come up: ${failure}. Its last lines: ${lastLines.join(' | ') || '(none)'}`,
          { data: { program: options.program, lines: [...lastLines] }, cause: problem },
        );
      }
      await clock.sleep(PROBE_INTERVAL_MS);
    }
  }

  async function supervise(): Promise<void> {
    let delayMs = RESTART_FIRST_MS;
    let startedAt = clock.monotonicMs();
    while (!stopping.signal.aborted) {
      const why = await run?.exited;
      if (stopping.signal.aborted) return;
      if (clock.monotonicMs() - startedAt > RECOVERED_AFTER_MS) delayMs = RESTART_FIRST_MS;
      log.error(
        { child: name, why, lines: [...lastLines], delayMs },
        'a child ended by itself; starting it again',
      );
      await clock.sleep(delayMs, stopping.signal).catch(() => undefined);
      if (stopping.signal.aborted) return;
      delayMs = Math.min(delayMs * 2, RESTART_LONGEST_MS);
      startedAt = clock.monotonicMs();
      await startOnce().then(
        () => log.info({ child: name, pid: run?.pid }, 'the child runs again'),
        (error: unknown) => log.error({ child: name, err: error }, 'the child did not come up again'),
      );
    }
  }

  await startOnce();
  log.info({ child: name, pid: run?.pid }, 'child started');
  const supervision = supervise();

  let stopped: Promise<void> | undefined;
  async function stop(): Promise<void> {
    stopping.abort();
    if (run) await end(run, options);
    await supervision;
    // The supervision may have been starting another run when it was told to stop.
    if (run) await end(run, options);
    await rm(pidFile, { force: true });
    log.info({ child: name }, 'child stopped');
  }
  return {
    stop() {
      stopped ??= stop();
      return stopped;
    },
  };
}

/**
 * Path of an installed program: looked for in `PATH` and in the folders of system programs, which a user's `PATH` may lack.
 *
 * @param name file name, or a path, which is taken as it is
 * @param debianPackage what to install when it is missing, for the message
 * @param folders where to look first
 * @throws `DEPENDENCY_MISSING`
 */
export async function findProgram(
  name: string,
  debianPackage: string,
  folders: readonly string[] = [],
): Promise<string> {
  const search = [...folders, ...(process.env.PATH ?? '').split(path.delimiter), '/usr/sbin', '/sbin'];
  const candidates = name.includes('/') ? [name] : search.filter(Boolean).map((dir) => path.join(dir, name));
  for (const candidate of candidates) {
    const usable = await access(candidate, constants.X_OK).then(
      () => true,
      () => false,
    );
    if (usable) return candidate;
  }
  throw new DormouseError(
    'DEPENDENCY_MISSING',
    `${name} is not installed. On Debian and Ubuntu: apt-get install ${debianPackage}`,
    { data: { program: name, package: debianPackage } },
  );
}

/** The probe's outcome, or an error when there is none in time. */
async function settled({ probe, clock }: ChildOptions, pid: number): Promise<void> {
  const waiting = new AbortController();
  const limit = clock.sleep(PROBE_LIMIT_MS, waiting.signal).then(() => {
    throw new Error(`the probe had no outcome within ${PROBE_LIMIT_MS} ms`);
  });
  // The one that comes second has nobody who waits for it.
  limit.catch(() => undefined);
  try {
    await Promise.race([probe(pid), limit]);
  } finally {
    waiting.abort();
  }
}

async function launch(options: ChildOptions, setpriv: string, lastLines: string[]): Promise<Run> {
  const asUser = options.user
    ? [`--reuid=${options.user.uid}`, `--regid=${options.user.gid}`, '--clear-groups']
    : [];
  const signalName = options.stopSignal.slice('SIG'.length);
  const subprocess = execa(
    setpriv,
    ['--pdeathsig', signalName, ...asUser, '--', options.program, ...options.args()],
    {
      stdin: 'ignore',
      all: true,
      buffer: false,
      reject: false,
      // The supervisor stops its children itself and in order.
      cleanup: false,
      ...(options.cwd ? { cwd: options.cwd } : {}),
      ...(options.env ? { env: options.env } : {}),
    },
  );
  const { pid } = subprocess;
  if (pid === undefined) {
    const { originalMessage } = await subprocess;
    throw new DormouseError('CHILD_FAILED', `${options.name} could not be started: ${originalMessage}`);
  }
  const read = keepLastLines(subprocess.iterable({ from: 'all' }), lastLines);
  // The exit of the program counts, not the end of its output, which processes of its own may hold open for longer.
  const exited = new Promise<string>((resolve) => {
    subprocess.nodeChildProcess.once('exit', (code, signal) =>
      resolve(signal ? `ended by ${signal}` : `exit status ${code}`),
    );
  }).then(async (why) => {
    await Promise.race([read, options.clock.sleep(OUTPUT_GRACE_MS)]);
    return why;
  });
  return { pid, exited, kill: (signal) => void subprocess.kill(signal) };
}

/** Reads the child's output to its end, so that it never blocks, and keeps the newest lines for error messages. */
async function keepLastLines(lines: AsyncIterable<unknown>, kept: string[]): Promise<void> {
  try {
    for await (const line of lines) {
      kept.push(String(line));
      if (kept.length > LOG_LINES) kept.shift();
    }
  } catch (error) {
    kept.push(`(output not readable: ${messageOf(error)})`);
  }
}

/** Ends a run in order, or by force after the grace. Returns when it is gone. */
async function end(run: Run, options: ChildOptions): Promise<void> {
  run.kill(options.stopSignal);
  const force = options.clock.after(options.stopGraceMs, () => run.kill('SIGKILL'));
  await run.exited;
  force.cancel();
}

/** What tells one process from all others, ever: pids are used again, start times within a boot are not. */
interface ProcessIdentity {
  pid: number;
  /** Field 22 of /proc/<pid>/stat, in clock ticks since the boot (proc(5)). */
  startTime: string;
  bootId: string;
}

async function identify(pid: number): Promise<ProcessIdentity | undefined> {
  try {
    const stat = await readFile(`/proc/${pid}/stat`, 'utf8');
    const bootId = await readFile('/proc/sys/kernel/random/boot_id', 'utf8');
    // The second field, the name, may hold spaces and parentheses; the fields after its last ')' do not.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    const [state, startTime] = [fields[0], fields[19]];
    if (startTime === undefined || state === 'Z') return undefined;
    return { pid, startTime, bootId: bootId.trim() };
  } catch {
    return undefined;
  }
}

/** Whoever reads the file sees the old process or the new one, never a part: it is written aside and moved into place. */
async function writePidFile(file: string, pid: number): Promise<void> {
  const identity = await identify(pid);
  if (!identity) return;
  await writeFile(`${file}.new`, `${JSON.stringify(identity)}\n`, { mode: 0o600 });
  await rename(`${file}.new`, file);
}

/** True while the very process that the identity names still runs. */
async function isRunning(identity: ProcessIdentity): Promise<boolean> {
  const now = await identify(identity.pid);
  return now !== undefined && now.startTime === identity.startTime && now.bootId === identity.bootId;
}

async function stopLeftover(options: ChildOptions): Promise<void> {
  const { clock, log, name, pidFile } = options;
  const leftover = await readPidFile(pidFile);
  if (!leftover || !(await isRunning(leftover))) return;
  log.warn({ child: name, pid: leftover.pid }, 'stopping a server that an earlier process left behind');
  process.kill(leftover.pid, options.stopSignal);
  const forceAt = clock.monotonicMs() + options.stopGraceMs;
  let forced = false;
  while (await isRunning(leftover)) {
    if (!forced && clock.monotonicMs() >= forceAt) {
      forced = true;
      process.kill(leftover.pid, 'SIGKILL');
    }
    await clock.sleep(PROBE_INTERVAL_MS);
  }
}

async function readPidFile(file: string): Promise<ProcessIdentity | undefined> {
  try {
    const found: unknown = JSON.parse(await readFile(file, 'utf8'));
    const { pid, startTime, bootId } = found as Partial<ProcessIdentity>;
    if (typeof pid !== 'number' || typeof startTime !== 'string' || typeof bootId !== 'string')
      return undefined;
    return { pid, startTime, bootId };
  } catch {
    return undefined;
  }
}
