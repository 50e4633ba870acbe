/** Names of the guest's virtio ports, in the order of QEMU's descriptors from `FIRST_FD` on; the kernel's log is last. */
export const OUTPUTS = ['stdout', 'stderr', 'control'] as const;
export const FIRST_FD = 3;
export const LOG_FD = FIRST_FD + OUTPUTS.length;

export interface KernelFiles {
  kernel: string;
  initrd: string;
}

export interface Disk {
  /** What the disk is called in the guest: its serial number. */
  name: string;
  file: string;
  readOnly: boolean;
}

export interface MachineShape {
  cpu: string;
  vcpus: number;
  memoryMb: number;
  disks: readonly Disk[];
}

/**
 * A processor that is stuck for a minute (twice `watchdog_thresh`) is a panic, and not a run that never ends.
 * A panic is the machine's end (`panic=-1`, reset by triple fault, `-no-reboot`). The rest saves time under emulation: no
 * mitigations, no measuring of clocks, and a generator of random numbers that does not wait.
 */
const KERNEL_ARGUMENTS =
  'console=ttyS0 quiet loglevel=4 panic=-1 oops=panic softlockup_panic=1 watchdog_thresh=30 reboot=t nokaslr mitigations=off random.trust_cpu=on ' +
  'tsc=reliable no_timer_check audit=0 cryptomgr.notests=1 init_on_alloc=0';

/**
 * Arguments of QEMU for the kernel to test in. Everything that goes in and out is a descriptor that QEMU inherits, so that
 * there are no files to remove; only the host's root is a path, and QEMU itself keeps it read-only.
 */
export function qemuArguments(machine: MachineShape, files: KernelFiles): string[] {
  return [
    ...['-nodefaults', '-no-user-config', '-no-reboot', '-display', 'none'],
    ...['-machine', 'q35', '-accel', 'tcg,thread=multi', '-cpu', machine.cpu],
    ...['-smp', String(machine.vcpus), '-m', String(machine.memoryMb)],
    ...['-fsdev', 'local,id=root,path=/,security_model=none,readonly=on,multidevs=remap'],
    ...['-device', 'virtio-9p-pci,fsdev=root,mount_tag=hostroot'],
    ...['-chardev', `socket,id=log,fd=${LOG_FD}`, '-serial', 'chardev:log', '-device', 'virtio-serial-pci'],
    ...OUTPUTS.flatMap((name, index) => [
      ...['-chardev', `socket,id=${name},fd=${FIRST_FD + index}`],
      ...['-device', `virtserialport,chardev=${name},name=${name}`],
    ]),
    ...machine.disks.flatMap(diskArguments),
    ...['-kernel', files.kernel, '-initrd', files.initrd, '-append', KERNEL_ARGUMENTS],
  ];
}

/** What is written to a disk ends with the machine, so nothing waits for the host's disk. */
function diskArguments({ name, file, readOnly }: Disk): string[] {
  const options = `if=none,id=${name},format=raw,cache=unsafe,discard=unmap,read-only=${readOnly ? 'on' : 'off'}`;
  return [
    ...['-drive', `file=${file.replaceAll(',', ',,')},${options}`],
    ...['-device', `virtio-blk-pci,drive=${name},serial=${name}`],
  ];
}
