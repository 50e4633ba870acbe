import { spawn } from 'node:child_process';
import { open, readdir, readFile, rm } from 'node:fs/promises';
import path from 'node:path';
import type { Clock } from '../../../clock.ts';
import { DormouseError } from '../../../errors/index.ts';
import type { VmRef, VmSpec } from '../types.ts';
import { QMP_SOCKET } from './command-line.ts';

/** Monitor processes: started so that they outlive the agent, found again, killed for certain. */

/** What QEMU prints. It says little, and only when something is wrong. */
const LOG_FILE = 'qemu.log';
const POLL_MS = 2;

/**
 * Starts the monitor in the slot's namespace, in a session of its own and with no descriptor of ours but `stateFd`.
 *
 * @throws `VMM_MISSING`, `VMM_FAILED`
 */
export async function spawnMonitor(
  program: string,
  argv: string[],
  spec: VmSpec,
  stateFd?: number,
): Promise<VmRef> {
  await rm(path.join(spec.runDir, QMP_SOCKET), { force: true });
  const log = await open(path.join(spec.runDir, LOG_FILE), 'w', 0o600);
  try {
    const child = spawn('nsenter', [`--net=${spec.slot.namespacePath}`, '--', program, ...argv], {
      cwd: spec.runDir,
      detached: true,
      stdio: ['ignore', log.fd, log.fd, ...(stateFd === undefined ? [] : [stateFd])],
      env: { PATH: process.env.PATH ?? '/usr/bin:/bin', LC_ALL: 'C' },
    });
    await new Promise<void>((resolve, reject) => {
      child.once('spawn', resolve);
      child.once('error', (error) =>
        reject(
          new DormouseError('DEPENDENCY_MISSING', 'nsenter could not be run. Install util-linux.', {
            cause: error,
          }),
        ),
      );
    });
    const pid = child.pid as number;
    child.unref();
    const startTicks = (await startTicksOf(pid)) ?? '0';
    return { sandboxId: spec.sandboxId, runDir: spec.runDir, pid, startTicks };
  } finally {
    await log.close();
  }
}

/** True while the process that the reference names lives. A zombie does not. */
export async function isAlive(vm: VmRef): Promise<boolean> {
  return (await startTicksOf(vm.pid)) === vm.startTicks;
}

/** Waits until the process is gone, at most `limitMs`. Returns whether it is. */
export async function waitGone(
  vm: VmRef,
  limitMs: number,
  clock: Clock,
  signal: AbortSignal,
): Promise<boolean> {
  const end = clock.monotonicMs() + limitMs;
  while (await isAlive(vm)) {
    if (clock.monotonicMs() >= end) return false;
    await clock.sleep(POLL_MS, signal);
  }
  return true;
}

/** Kills the process, if it is still the one that the reference names. */
export async function killMonitor(vm: VmRef): Promise<void> {
  if (!(await isAlive(vm))) return;
  try {
    process.kill(vm.pid, 'SIGKILL');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

/** The monitors whose QMP socket is below `root`, from the command lines in /proc. */
export async function findMonitors(root: string): Promise<VmRef[]> {
  const found = await Promise.all(
    (await readdir('/proc')).filter((name) => /^\d+$/.test(name)).map((pid) => monitorOf(Number(pid), root)),
  );
  return found.filter((vm) => vm !== undefined);
}

/** What the monitor printed last, for a message. */
export async function lastWords(runDir: string): Promise<string> {
  const text = await readFile(path.join(runDir, LOG_FILE), 'utf8').catch(() => '');
  return text.trim().split('\n').slice(-3).join(' ').slice(0, 500);
}

async function monitorOf(pid: number, root: string): Promise<VmRef | undefined> {
  const argv = (await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')).split('\0');
  const socket = argv[argv.indexOf('-qmp') + 1];
  if (!argv.includes('-qmp') || !socket?.startsWith('unix:')) return undefined;
  const runDir = path.dirname(socket.slice('unix:'.length).split(',server=')[0]?.replaceAll(',,', ',') ?? '');
  if (runDir !== root && !runDir.startsWith(`${root}/`)) return undefined;
  const startTicks = await startTicksOf(pid);
  const sandboxId = argv[argv.indexOf('-name') + 1]?.split(',')[0];
  return startTicks && sandboxId ? { sandboxId, runDir, pid, startTicks } : undefined;
}

/** Field 22 of /proc/PID/stat (proc(5)): the start time, which no later process with this pid shares. */
async function startTicksOf(pid: number): Promise<string | undefined> {
  const text = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
  // The second field is the program's name in parentheses and may hold anything.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  return fields[0] === 'Z' || fields[0] === 'X' ? undefined : fields[19];
}
