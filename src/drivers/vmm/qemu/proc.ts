import { readdir, readFile } from 'node:fs/promises';

/** What tells one process from all others of this boot: pids are used again, start times are not. */
export interface ProcessIdentity {
  pid: number;
  /** Field 22 of /proc/PID/stat, in clock ticks since boot (proc(5)). */
  startTicks: string;
}

/** The process that has this pid now; undefined when there is none, or only a zombie that its parent has not collected. */
export async function identify(pid: number): Promise<ProcessIdentity | undefined> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
  // The second field, the name, may hold spaces and parentheses; the fields after its last ')' do not.
  const [state, ...fields] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const startTicks = fields[18];
  if (startTicks === undefined || state === 'Z' || state === 'X') return undefined;
  return { pid, startTicks };
}

/** True while the very process that was identified lives. */
export async function isAlive({ pid, startTicks }: ProcessIdentity): Promise<boolean> {
  return (await identify(pid))?.startTicks === startTicks;
}

/** Sends SIGKILL to the very process that was identified, if it lives. */
export async function killProcess(process_: ProcessIdentity): Promise<void> {
  if (!(await isAlive(process_))) return;
  try {
    process.kill(process_.pid, 'SIGKILL');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

/**
 * Effective user of a process; undefined when it is gone. Of `/proc/PID/status`, since the owner of `/proc/PID` is root for a
 * process that says it may not be dumped (proc(5)).
 */
export async function userOf(pid: number): Promise<number | undefined> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '');
  const [, user] = /^Uid:\t\d+\t(\d+)/m.exec(status) ?? [];
  return user === undefined ? undefined : Number(user);
}

/** Arguments of a process; empty when it is gone or belongs to the kernel. */
export async function argumentsOf(pid: number): Promise<string[]> {
  const text = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
  return text.split('\0').slice(0, -1);
}

/** Pids of all processes that this one can see. */
export async function processIds(): Promise<number[]> {
  return (await readdir('/proc')).filter((name) => /^\d+$/.test(name)).map(Number);
}
