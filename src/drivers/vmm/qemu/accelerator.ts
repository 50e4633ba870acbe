import { type ChildProcess, spawn } from 'node:child_process';
import { access, constants, mkdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { messageOf } from '../../../errors/index.ts';
import type { Accelerator } from '../types.ts';

/**
 * Whether KVM works is decided by trying: some hosts have a /dev/kvm that opens and then refuses stock kernels, with an
 * error about an MSR or with silence.
 */

/** What the kernel says first on its console. */
const SIGN_OF_LIFE = /Linux version/;
/** A kernel under KVM says it within tens of milliseconds. */
const TRIAL_LIMIT_MS = 4_000;

export interface Probe {
  kernelPath: string;
  initrdPath: string;
  /** Where the answer is remembered for this boot of the host. */
  memoFile: string;
}

/** `kvm` when a kernel boots under it, else `tcg`; with the reason in words. Remembered in `memoFile`. */
export async function probeAccelerator(
  program: string,
  probe: Probe,
  signal: AbortSignal,
): Promise<Accelerator> {
  const usable = await access('/dev/kvm', constants.R_OK | constants.W_OK).then(
    () => undefined,
    (error: NodeJS.ErrnoException) => error.code,
  );
  if (usable === 'ENOENT') return { name: 'tcg', reason: 'there is no /dev/kvm; virtual CPUs are emulated' };
  if (usable)
    return { name: 'tcg', reason: `/dev/kvm cannot be opened (${usable}); virtual CPUs are emulated` };
  const key = `${(await readFile('/proc/sys/kernel/random/boot_id', 'utf8')).trim()} ${program} ${probe.kernelPath}`;
  const memo = await readFile(probe.memoFile, 'utf8')
    .then((text) => JSON.parse(text) as { key: string; answer: Accelerator })
    .catch(() => undefined);
  if (memo?.key === key) return memo.answer;
  const problem = await tryKvm(program, probe, signal);
  const answer: Accelerator = problem
    ? { name: 'tcg', reason: `KVM is there but boots no kernel (${problem}); virtual CPUs are emulated` }
    : { name: 'kvm', reason: 'KVM boots a kernel' };
  // A missing program is answered by the first start, which says what to install; it must not be remembered.
  if (problem?.includes('ENOENT')) return answer;
  await mkdir(path.dirname(probe.memoFile), { recursive: true });
  await writeFile(probe.memoFile, JSON.stringify({ key, answer }));
  return answer;
}

/** What went wrong, or undefined when a kernel came up. */
async function tryKvm(
  program: string,
  { kernelPath, initrdPath }: Probe,
  signal: AbortSignal,
): Promise<string | undefined> {
  const argv = [
    '-M',
    'microvm,acpi=on,isa-serial=on',
    '-accel',
    'kvm',
    '-cpu',
    'host',
    '-m',
    '128',
    '-nodefaults',
    '-no-user-config',
    '-display',
    'none',
    '-no-reboot',
    '-kernel',
    kernelPath,
    '-initrd',
    initrdPath,
    '-append',
    'console=ttyS0 panic=-1 reboot=t',
    '-serial',
    'stdio',
  ];
  const child = spawn(program, argv, {
    stdio: ['ignore', 'pipe', 'pipe'],
    signal: AbortSignal.any([signal, AbortSignal.timeout(TRIAL_LIMIT_MS)]),
    killSignal: 'SIGKILL',
  });
  return await new Promise<string | undefined>((resolve) => watchTrial(child, resolve));
}

function watchTrial(child: ChildProcess, answer: (problem: string | undefined) => void): void {
  let said = '';
  let complaint = '';
  child.stdout?.on('data', (data: Buffer) => {
    said = (said + data.toString('latin1')).slice(-4096);
    if (SIGN_OF_LIFE.test(said)) {
      answer(undefined);
      child.kill('SIGKILL');
    }
  });
  child.stderr?.on('data', (data: Buffer) => {
    complaint = (complaint + data.toString()).slice(0, 200);
  });
  child.once('error', (error) => answer(error.name === 'AbortError' ? 'it stayed silent' : messageOf(error)));
  child.once('close', () => answer(complaint.trim().split('\n')[0] || 'it ended without a word'));
}
