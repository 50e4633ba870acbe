import path from 'node:path';
import { GUEST_ADDRESS, GUEST_GATEWAY, GUEST_PREFIX } from '../../network/types.ts';
import type { Accelerator, VmSpec } from '../types.ts';

/** Names of QEMU's objects, as the monitor's commands know them. */
export const DISK_ID = 'disk';
export const CONSOLE_ID = 'console';
/** What is kept of the guest's console, in bytes; a power of two. */
export const CONSOLE_BYTES = 64 * 1024;

/** The files of a machine's run folder. */
export const qmpSocket = (runDir: string): string => path.join(runDir, 'qmp.sock');
export const stateSocket = (runDir: string): string => path.join(runDir, 'state.sock');
export const logFile = (runDir: string): string => path.join(runDir, 'qemu.log');
export const pidFile = (runDir: string): string => path.join(runDir, 'qemu.pid');

const QMP_PREFIX = 'unix:';
const QMP_SUFFIX = '/qmp.sock,server=on,wait=off';

/**
 * How the virtual processors are run.
 *
 * Emulation: one thread for each, a small translation cache (it counts for every sandbox), and no processor features that
 * cost the emulator time on each access to memory and protect nothing here.
 */
export const PROCESSOR: Record<Accelerator['name'], readonly string[]> = {
  kvm: ['-accel', 'kvm', '-cpu', 'host'],
  tcg: ['-accel', 'tcg,thread=multi,tb-size=64', '-cpu', 'max,-smap,-smep,-la57,-umip,-pku'],
};

/**
 * Kernel arguments for a quick boot. A guest that panics or reboots resets the machine at once (`panic=-1`, by triple
 * fault), which QEMU takes as its end (`-no-reboot`).
 */
const KERNEL_ARGUMENTS = 'console=ttyS0 quiet panic=-1 reboot=t cryptomgr.notests=1 init_on_alloc=0 audit=0';
/** Emulated processors do not speculate, so there is nothing to mitigate. */
const KERNEL_ARGUMENTS_TCG = 'mitigations=off';

/** The machine without its processor, memory and devices: microvm with ACPI, since stock kernels find virtio-mmio there. */
export const MACHINE = 'microvm,acpi=on,rtc=on,pit=on,pic=on,isa-serial=on';
/** Nothing that was not asked for, no screen, and a guest's reset is its end. */
export const BARE = ['-nodefaults', '-no-user-config', '-display', 'none', '-no-reboot'] as const;

/**
 * Whether the machine boots, or waits with stopped vCPUs for a device state to be loaded. A machine that is loaded needs no
 * kernel: it is in the memory already.
 */
export type Beginning = 'boot' | 'load';

export interface HowToRun {
  accelerator: Accelerator['name'];
  beginning: Beginning;
  /** Rate of the host's time stamp counter in kHz, for an emulated guest. */
  tscKhz?: number | undefined;
}

/**
 * Arguments of QEMU for a machine. The same spec gives the same devices, which loading depends on.
 *
 * Console: a ring in QEMU's memory, since a guest may write for ever and must not fill the host's disk. What was written is
 * read through the monitor and ends with the process.
 *
 * The pid file is locked by QEMU as long as it lives and made before anything else: a second process for the same run
 * folder ends at once.
 */
export function qemuArguments(spec: VmSpec, how: HowToRun): string[] {
  return [
    ...['-name', optionValue(spec.sandboxId)],
    ...['-M', `${MACHINE},memory-backend=mem`],
    ...PROCESSOR[how.accelerator],
    ...['-smp', String(spec.vcpus), '-m', String(spec.memoryMb)],
    ...[
      '-object',
      `memory-backend-file,id=mem,size=${spec.memoryMb}M,mem-path=${optionValue(spec.memoryPath)},share=on`,
    ],
    ...BARE,
    ...(how.beginning === 'boot' ? bootArguments(spec, how) : ['-incoming', 'defer', '-S']),
    ...['-chardev', `ringbuf,id=${CONSOLE_ID},size=${CONSOLE_BYTES}`, '-serial', `chardev:${CONSOLE_ID}`],
    ...[
      '-drive',
      // The lock would be in the way of nobody but a rollback: one writer is what the pid file sees to.
      `if=none,id=${DISK_ID},file=${optionValue(spec.diskPath)},format=raw,cache=writeback,discard=unmap,detect-zeroes=unmap,file.locking=off`,
    ],
    ...['-device', `virtio-blk-device,drive=${DISK_ID}`],
    ...['-netdev', `tap,id=net,ifname=${optionValue(spec.slot.tap)},script=no,downscript=no`],
    ...['-device', `virtio-net-device,netdev=net,mac=${spec.mac}`],
    ...['-device', 'virtio-rng-device'],
    ...['-sandbox', 'on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny'],
    ...['-pidfile', pidFile(spec.runDir)],
    ...['-qmp', qmpArgument(spec.runDir)],
  ];
}

function bootArguments(spec: VmSpec, { accelerator, tscKhz }: HowToRun): string[] {
  const kernelArguments = [
    KERNEL_ARGUMENTS,
    ...(accelerator === 'tcg' ? [KERNEL_ARGUMENTS_TCG] : []),
    ...(accelerator === 'tcg' && tscKhz ? [`tsc_early_khz=${tscKhz}`] : []),
    `dormouse.ip=${GUEST_ADDRESS}/${GUEST_PREFIX}`,
    `dormouse.gw=${GUEST_GATEWAY}`,
    `dormouse.host=${spec.hostname}`,
    `dormouse.token=${spec.token}`,
  ];
  return [
    ...['-kernel', spec.kernelPath, '-initrd', spec.initrdPath],
    ...['-append', kernelArguments.join(' ')],
  ];
}

/** The argument that makes QEMU listen in the run folder. It names the machine among all processes. */
export function qmpArgument(runDir: string): string {
  return `${QMP_PREFIX}${optionValue(runDir)}${QMP_SUFFIX}`;
}

/** The run folder of the machine that was started with these arguments; undefined when it is none of ours. */
export function runDirOf(argv: readonly string[]): string | undefined {
  const argument = argv[argv.indexOf('-qmp') + 1];
  if (!argv.includes('-qmp') || !argument?.startsWith(QMP_PREFIX) || !argument.endsWith(QMP_SUFFIX))
    return undefined;
  return argument.slice(QMP_PREFIX.length, -QMP_SUFFIX.length).replaceAll(',,', ',');
}

/** A value inside an option of QEMU, where a comma ends a value unless it is doubled. */
function optionValue(value: string): string {
  return value.replaceAll(',', ',,');
}
