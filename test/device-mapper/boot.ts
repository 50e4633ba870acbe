import { existsSync } from 'node:fs';
import path from 'node:path';
import type { Duplex } from 'node:stream';
import { execa } from 'execa';
import { testKernelDir } from '../../scripts/setup/test-kernel.mjs';
import { testPackagesAreCurrent, testPackagesImage } from '../../scripts/setup/test-packages.mjs';
import { type Disk, FIRST_FD, type KernelFiles, LOG_FD, OUTPUTS, qemuArguments } from './command-line.ts';
import { KernelError, KernelLog } from './kernel-error.ts';
import { type Orders, ordersLine } from './orders.ts';
import { openScratch } from './scratch.ts';

/**
 * Runs a command in a kernel of its own: a stock kernel of the distribution in QEMU, on the host's root file system with a
 * layer in memory on top (`guest/init`). Nothing is left on the host, however it ends: QEMU dies with this process, what
 * goes in and out are socket pairs, and the scratch disk is a file without a name.
 */

const REPO = path.join(import.meta.dirname, '..', '..');
const FILES: KernelFiles = {
  kernel: path.join(testKernelDir(REPO), 'vmlinux'),
  initrd: path.join(testKernelDir(REPO), 'initrd.cpio'),
};

/** Features of the processor below that QEMU does not emulate, and would complain of. */
const NOT_EMULATED = 'rdseed sha-ni fxsr-opt misalignsse 3dnowprefetch osvw topoext nrip-save xsavec'.split(
  ' ',
);
/** A processor with enough of AMD's virtualisation for /dev/kvm inside. */
const CPU = ['EPYC,+svm', ...NOT_EMULATED.map((feature) => `-${feature}`)].join(',');
const VCPUS = 2;
const MEMORY_MB = 4096;
const SCRATCH_MB = 8 * 1024;
const MODULES = [
  ...['loop', 'dm-mod', 'dm-snapshot', 'dm-zero', 'dm-flakey', 'dm-delay', 'ext4', 'xfs', 'kvm-amd'],
  ...['tun', 'veth', 'virtio_net', 'nf_tables', 'nft_chain_nat', 'nft_nat', 'nft_masq', 'nft_ct'],
];
const LIMIT_MS = 10 * 60_000;
/** Variables that the command gets from this process. */
const PASSED_ON = ['HOME', 'LANG', 'TERM', 'CI', 'NO_COLOR', 'DORMOUSE_TEST_LOG', 'DORMOUSE_TEST_SEED'];

export interface KernelRun {
  /** Program and arguments; run as root, in this process's working directory. */
  command: readonly [string, ...string[]];
  /** QEMU's name of the processor; default: one with which /dev/kvm works inside. */
  cpu?: string;
  /** In MiB; default 4096. */
  memoryMb?: number;
  /** Size of the file system at /scratch, where TMPDIR is, in MiB; 0 for none. Default: 8192. */
  scratchMb?: number;
  /** Whether systemd-udevd runs inside; default: no. */
  udev?: boolean;
  /** Kernel modules that are loaded before the command; default: those of disks, networks and KVM. */
  modules?: readonly string[];
  /** Variables for the command, beside PATH, HOME and the like. */
  env?: Readonly<Record<string, string>>;
  /** Longest time for all of it, in milliseconds; default: ten minutes. */
  limitMs?: number;
  /** Longest time without a word of the command, in milliseconds; default: as long as all of it. */
  silentMs?: number;
  signal?: AbortSignal;
  /** Gets what the command writes, as it comes. */
  onOutput?: (output: 'stdout' | 'stderr', chunk: Buffer) => void;
}

export interface KernelResult {
  /** The command's exit status; 128 and the signal's number when one ended it. */
  status: number;
  /** Milliseconds until the command began, and until all had ended. */
  bootMs: number;
  totalMs: number;
  /** The end of the kernel's log. */
  kernelLog: string;
}

/**
 * Boots the kernel, runs the command in it and ends it.
 *
 * @throws `KernelError` when the machine ended without the command's exit status, or not within its time limit; the
 * signal's reason; an `Error` that says what to do when the set-up was not run
 */
export async function runInKernel(run: KernelRun): Promise<KernelResult> {
  const { scratchMb = SCRATCH_MB, limitMs = LIMIT_MS, silentMs = limitMs, signal } = run;
  signal?.throwIfAborted();
  for (const file of Object.values(FILES))
    if (!existsSync(file)) throw new Error(`${file} is missing. Run: npm run setup -- --tests`);

  const startedAt = performance.now();
  const elapsedMs = (): number => Math.round(performance.now() - startedAt);
  const limit = AbortSignal.timeout(limitMs);
  await using scratch = scratchMb > 0 ? await openScratch(scratchMb) : undefined;
  const log = new KernelLog();
  const disks: Disk[] = [
    ...(scratch ? [{ name: 'scratch', file: scratch.path, readOnly: false }] : []),
    // Without it, or when it is out of date, the packages come over 9p like everything else.
    ...(testPackagesAreCurrent(REPO)
      ? [{ name: 'packages', file: testPackagesImage(REPO), readOnly: true }]
      : []),
  ];
  const silence = new AbortController();
  const silent = setTimeout(() => silence.abort(), silentMs).unref();
  const onOutput: KernelRun['onOutput'] = (output, chunk) => {
    silent.refresh();
    run.onOutput?.(output, chunk);
  };
  const { qemu, control } = startQemu({ ...run, onOutput }, disks, log);

  let bootMs = -1;
  let told = '';
  control.on('data', (chunk: Buffer) => {
    told += chunk.toString('latin1');
    if (bootMs < 0 && told.includes('running\n')) bootMs = elapsedMs();
  });
  control.write(ordersLine(ordersOf(run, disks)));

  const stop = AbortSignal.any([limit, silence.signal, ...(signal ? [signal] : [])]);
  const kill = (): unknown => qemu.kill('SIGKILL');
  stop.addEventListener('abort', kill);
  if (stop.aborted) kill();
  const end = await qemu;
  clearTimeout(silent);
  stop.removeEventListener('abort', kill);

  const status = /^exit (\d+)$/m.exec(told)?.[1];
  if (status !== undefined)
    return { status: Number(status), bootMs, totalMs: elapsedMs(), kernelLog: log.text };
  signal?.throwIfAborted();
  if (silence.signal.aborted && !limit.aborted)
    throw new KernelError(`The kernel said nothing for ${silentMs / 1000} s`, log.text, { isSilent: true });
  if (limit.aborted) throw new KernelError(`The kernel did not end within ${limitMs / 1000} s`, log.text);
  const how = end.signal ?? end.exitCode ?? end.message;
  throw new KernelError(`The kernel ended without an exit status of the command (QEMU: ${how})`, log.text);
}

/** The log gets what QEMU says itself, too: it is why there is no more of the kernel's. */
function startQemu(run: KernelRun, disks: readonly Disk[], log: KernelLog) {
  const { cpu = CPU, memoryMb = MEMORY_MB, onOutput = () => {} } = run;
  const qemu = execa(
    'setpriv',
    [
      ...['--pdeathsig', 'KILL', '--', 'qemu-system-x86_64'],
      ...qemuArguments({ cpu, vcpus: VCPUS, memoryMb, disks }, FILES),
    ],
    // Neither execa's own signal nor its time limit: they end QEMU by a SIGTERM, which it may take its time for.
    { stdio: ['ignore', 'pipe', 'pipe', 'pipe', 'pipe', 'pipe', 'pipe'], buffer: false, reject: false },
  );
  for (const output of [qemu.stdout, qemu.stderr, duplex(qemu.stdio[LOG_FD])])
    output.on('data', (chunk: Buffer) => log.add(chunk));
  for (const name of ['stdout', 'stderr'] as const)
    port(qemu.stdio, name).on('data', (chunk: Buffer) => onOutput(name, chunk));
  const control = port(qemu.stdio, 'control');
  // A QEMU that ended at once says why by its exit status and its last words.
  control.on('error', () => {});
  return { qemu, control };
}

function ordersOf(run: KernelRun, disks: readonly Disk[]): Orders {
  const has = (name: string): boolean => disks.some((disk) => disk.name === name);
  const scratch = has('scratch');
  const packages = has('packages') ? path.join(REPO, 'node_modules') : undefined;
  const { command, modules = MODULES, udev = false } = run;
  const passedOn = PASSED_ON.filter((name) => process.env[name] !== undefined);
  const env = {
    ...Object.fromEntries(passedOn.map((name) => [name, process.env[name] ?? ''])),
    PATH: `${process.env.PATH ?? ''}:/usr/sbin:/usr/bin:/sbin:/bin`,
    TMPDIR: scratch ? '/scratch/tmp' : '/tmp',
    ...run.env,
  };
  return { command, cwd: process.cwd(), env, modules, scratch, packages, udev };
}

function port(stdio: readonly unknown[], name: (typeof OUTPUTS)[number]): Duplex {
  return duplex(stdio[FIRST_FD + OUTPUTS.indexOf(name)]);
}

/** Node makes a socket pair of each further pipe; execa's type for it is one direction. */
function duplex(stream: unknown): Duplex {
  return stream as Duplex;
}
