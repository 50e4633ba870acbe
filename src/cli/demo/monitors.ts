import { readdir, readFile } from 'node:fs/promises';

/**
 * Pids of the virtual machine monitors that run for a sandbox on this machine: programs whose command line names it. An
 * observer of its own, which asks the kernel and not the server.
 */
export async function monitorsOf(sandboxId: string): Promise<number[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name)).map(Number);
  const found = await Promise.all(
    pids.map(async (pid) => ((await isMonitorOf(pid, sandboxId)) ? [pid] : [])),
  );
  return found.flat();
}

async function isMonitorOf(pid: number, sandboxId: string): Promise<boolean> {
  // A process that has gone since, or belongs to somebody else, has no command line to read.
  const commandLine = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
  const [program = ''] = commandLine.split('\0');
  return /(^|\/)(qemu|firecracker)[^/]*$/.test(program) && commandLine.includes(sandboxId);
}
