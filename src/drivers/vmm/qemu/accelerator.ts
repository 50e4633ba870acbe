import { constants } from 'node:fs';
import { access, readFile } from 'node:fs/promises';
import path from 'node:path';
import { execa } from 'execa';
import type { Clock } from '../../../clock.ts';
import { makeFolder, writeFileDurably } from '../../../durable-file.ts';
import { DormouseError, messageOf } from '../../../errors/index.ts';
import type { Logger } from '../../../log.ts';
import { unlessAborted } from '../../../unless-aborted.ts';
import type { Accelerator } from '../types.ts';
import { withDeadline } from './abort.ts';
import { BARE, MACHINE, PROCESSOR } from './command-line.ts';

/**
 * Whether KVM is of use is decided by trying: there are hosts whose KVM exists but does not run a stock kernel, where QEMU
 * aborts ("failed to set MSR") or says nothing for ever.
 */
export interface AcceleratorProbe {
  /** Kernel and initramfs that are tried: those that sandboxes boot with. */
  kernelPath: string;
  initrdPath: string;
  /** Where the answer is kept. It holds for this boot of the host and this version of QEMU. */
  memoFile: string;
  /** How long the kernel may be silent before KVM is taken not to work, in milliseconds; default: 8000. */
  silenceMs?: number;
}

const KVM_DEVICE = '/dev/kvm';
/** A KVM that works says something all the time while the kernel comes up, within a second. In milliseconds. */
const SILENCE_MS = 8_000;
/** Inside an emulated machine on a busy host that takes a minute, since each character of the console is slow. In milliseconds. */
const TRIAL_MS = 300_000;
const TRIAL_MEMORY_MB = 128;
/** The kernel says this when all of it has come up and the first program starts. */
const SIGN_OF_LIFE = /Run \/init as init process/;
/** How much of the trial's output is kept, in characters. */
const OUTPUT_CHARS = 64 * 1024;

interface Memo {
  bootId: string;
  qemuVersion: string;
  accelerator: Accelerator;
}

/**
 * The accelerator for this host: KVM when it boots a kernel, else emulation with the reason in words. The trial is done
 * once and its answer remembered in the memo file. Without KVM's device there is no trial: it is looked for at each start.
 *
 * @param qemu path of QEMU
 * @throws `VMM_FAILED` when QEMU does not even say its version; the signal's reason
 */
export async function probeAccelerator(
  qemu: string,
  probe: AcceleratorProbe,
  { clock, log }: { clock: Clock; log: Logger },
  signal: AbortSignal,
): Promise<Accelerator> {
  const bootId = (await readFile('/proc/sys/kernel/random/boot_id', 'utf8')).trim();
  const qemuVersion = await versionOf(qemu, signal);
  const memo = await readMemo(probe.memoFile);
  if (memo?.bootId === bootId && memo.qemuVersion === qemuVersion) return memo.accelerator;
  const closed = await whyClosed();
  const accelerator: Accelerator = closed
    ? { name: 'tcg', reason: closed }
    : await decide(qemu, probe, clock, signal);
  log.info({ ...accelerator }, 'accelerator decided');
  if (closed) return accelerator;
  await makeFolder(path.dirname(probe.memoFile))
    .then(() => writeFileDurably(probe.memoFile, JSON.stringify({ bootId, qemuVersion, accelerator }), 0o600))
    .catch((error: unknown) => log.warn({ err: error }, 'the accelerator could not be noted'));
  return accelerator;
}

/** Why KVM's device cannot be opened; undefined when it can. */
async function whyClosed(): Promise<string | undefined> {
  return await access(KVM_DEVICE, constants.R_OK | constants.W_OK).then(
    () => undefined,
    ({ code }: NodeJS.ErrnoException) => `${KVM_DEVICE} cannot be opened (${code})`,
  );
}

async function decide(
  qemu: string,
  probe: AcceleratorProbe,
  clock: Clock,
  signal: AbortSignal,
): Promise<Accelerator> {
  const failure = await tryToBoot(qemu, 'kvm', probe, clock, signal);
  return failure === undefined
    ? { name: 'kvm', reason: 'KVM boots a kernel' }
    : { name: 'tcg', reason: `KVM does not boot a kernel: ${failure}` };
}

/**
 * Boots the kernel without disk and network until its first program starts.
 *
 * @returns why it did not come to that; undefined when it did
 */
export async function tryToBoot(
  qemu: string,
  accelerator: Accelerator['name'],
  { kernelPath, initrdPath, silenceMs = SILENCE_MS }: Omit<AcceleratorProbe, 'memoFile'>,
  clock: Clock,
  signal: AbortSignal,
): Promise<string | undefined> {
  const subprocess = execa(
    qemu,
    [
      ...['-M', MACHINE, ...PROCESSOR[accelerator], '-m', String(TRIAL_MEMORY_MB), ...BARE],
      ...['-kernel', kernelPath, '-initrd', initrdPath],
      ...['-append', 'console=ttyS0 panic=-1 reboot=t', '-serial', 'stdio'],
    ],
    {
      stdin: 'ignore',
      buffer: false,
      reject: false,
      all: true,
      extendEnv: false,
      env: { PATH: process.env.PATH ?? '' },
    },
  );
  let output = '';
  const lines = subprocess.iterable({ from: 'all' });
  const signOfLife = async (): Promise<boolean> => {
    for (;;) {
      const { done, value } = await withDeadline(clock, silenceMs, 'The next line', () => lines.next());
      if (done) return false;
      output = `${output}${value}\n`.slice(-OUTPUT_CHARS);
      if (SIGN_OF_LIFE.test(value)) return true;
    }
  };
  try {
    const alive = withDeadline(clock, TRIAL_MS, 'The trial', signOfLife);
    if (await unlessAborted(alive, signal)) return undefined;
    // QEMU's first complaint is the cause; an assertion that fails later is not.
    const said = output.trim().split('\n');
    return said.find((line) => line.startsWith('qemu')) ?? (said.at(-1) || 'QEMU ended without a word');
  } catch (error) {
    signal.throwIfAborted();
    if (!(error instanceof DormouseError)) return messageOf(error);
    const last = output.trim().split('\n').at(-1);
    return last ? `it came no further than: ${last}` : `nothing was heard of it within ${silenceMs / 1000} s`;
  } finally {
    subprocess.kill('SIGKILL');
    await subprocess;
  }
}

async function versionOf(qemu: string, signal: AbortSignal): Promise<string> {
  try {
    const { stdout } = await execa(qemu, ['--version'], { stdin: 'ignore', cancelSignal: signal });
    return stdout.split('\n')[0] ?? '';
  } catch (error) {
    signal.throwIfAborted();
    throw new DormouseError('VMM_FAILED', `${qemu} does not say its version.`, { cause: error });
  }
}

async function readMemo(file: string): Promise<Memo | undefined> {
  try {
    const memo = JSON.parse(await readFile(file, 'utf8')) as Memo;
    return ['kvm', 'tcg'].includes(memo.accelerator.name) ? memo : undefined;
  } catch {
    return undefined;
  }
}
