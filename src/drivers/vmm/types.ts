import type { Slot } from '../network/types.ts';

/**
 * Virtual machine monitors. A virtual machine is a detached process that outlives the agent. Its guest memory is a file
 * that the monitor maps shared, so saving writes only the device state, and neither pause nor resume depends on the size
 * of the memory.
 */

/** Everything that a monitor needs to start a machine. Plain data: it is journaled. */
export interface VmSpec {
  sandboxId: string;
  /** Folder for sockets and logs. Short enough for a unix socket's 107 bytes. */
  runDir: string;
  vcpus: number;
  memoryMb: number;
  /** Guest memory as a file of `memoryMb` MiB. Made when it is not there (cold boot). */
  memoryPath: string;
  /** Raw file or block device. */
  diskPath: string;
  slot: Slot;
  /** Guest kernel (uncompressed ELF) and initramfs with the guest kit. */
  kernelPath: string;
  initrdPath: string;
  /** MAC address of the guest's network card when it boots. A loaded machine keeps the one it was saved with. */
  mac: string;
  hostname: string;
  /** Token that the guest kit of a cold boot accepts, 64 hexadecimal digits. */
  token: string;
}

/** A running monitor process: enough to find it again after the agent died, and never to take another for it. */
export interface VmRef {
  sandboxId: string;
  runDir: string;
  pid: number;
  /** Start time of the process in clock ticks since boot (field 22 of /proc/PID/stat): pid and this name a process for good. */
  startTicks: string;
}

/** How the machine is found: `running` or `frozen` (vCPUs stopped), or `gone`. */
export type VmStatus = 'running' | 'frozen' | 'gone';

/** Why a machine ended, as far as can be known. */
export interface VmExit {
  reason: 'guest-shutdown' | 'guest-panic' | 'exited' | 'killed' | 'unknown';
  /** For a person: exit status or signal, and the monitor's last line of output. */
  detail: string;
}

export interface Accelerator {
  name: 'kvm' | 'tcg';
  /** Why: "KVM boots a kernel", or what failed when it was tried. */
  reason: string;
}

export interface VmmDriver {
  readonly kind: 'qemu' | 'firecracker';

  /** The accelerator to use, decided by trying; the answer is remembered for this boot of the host. */
  accelerator(signal: AbortSignal): Promise<Accelerator>;

  /** Boots a machine. vCPUs run on return. Throws `VMM_MISSING`, `VMM_FAILED`, `DISK_FULL`. */
  start(spec: VmSpec, signal: AbortSignal): Promise<VmRef>;

  /** Loads the device state that `save` wrote to `stateDir`. vCPUs are stopped on return. Throws `SNAPSHOT_INVALID`, `VMM_FAILED`. */
  restore(spec: VmSpec, stateDir: string, signal: AbortSignal): Promise<VmRef>;

  /** Stops the vCPUs. */
  freeze(vm: VmRef, signal: AbortSignal): Promise<void>;

  /** Starts the vCPUs again. */
  thaw(vm: VmRef, signal: AbortSignal): Promise<void>;

  /** Writes the device state of a frozen machine into `stateDir` and fsyncs it. */
  save(vm: VmRef, stateDir: string, signal: AbortSignal): Promise<void>;

  /** Names of the files that `save` writes; together with disk and memory, copies of them can be loaded elsewhere. */
  readonly stateFiles: readonly string[];

  /** Deletes what `save` wrote. */
  discardSave(stateDir: string): Promise<void>;

  /** Tells the guest that its disk now has this size, in bytes. A file under it is grown to that; a device must have it. */
  growDisk(vm: VmRef, sizeBytes: number, signal: AbortSignal): Promise<void>;

  /**
   * Makes sure that the process is gone: asks it to quit, waits `graceMs`, kills it. With `vm` unknown (the agent died
   * before it was recorded) the process is found by `runDir`.
   */
  stop(
    vm: VmRef | { sandboxId: string; runDir: string },
    graceMs: number,
    signal: AbortSignal,
  ): Promise<void>;

  /**
   * Makes sure that this very process is gone, at once, and touches nothing else: what is in `runDir` may be another one's, and
   * that one is left alone also when this one had ended already.
   */
  kill(vm: VmRef, signal: AbortSignal): Promise<void>;

  /** The machine process that belongs to `runDir`, if it lives. */
  find(sandboxId: string, runDir: string): Promise<VmRef | undefined>;

  /** All machine processes whose `runDir` is below `root` (`<root>/<sandbox id>/run`). */
  list(root: string): Promise<VmRef[]>;

  /** State of a machine, asked of the monitor itself. */
  status(vm: VmRef, signal: AbortSignal): Promise<VmStatus>;

  /** Calls `exited` once when the process ends without `stop`. Works for machines that this agent did not start. Returns an undo. */
  watch(vm: VmRef, exited: (exit: VmExit) => void): () => void;

  /** Lets go of sockets to all machines; leaves the machines alone. */
  close(): Promise<void>;
}
