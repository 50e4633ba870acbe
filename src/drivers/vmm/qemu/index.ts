import { DormouseError } from '../../../errors/index.ts';
import { faultPoint } from '../../../fault-points.ts';
import { unlessAborted } from '../../../unless-aborted.ts';
import type { Accelerator, VmmDriver, VmRef } from '../types.ts';
import { type AcceleratorProbe, probeAccelerator } from './accelerator.ts';
import { CONSOLE_BYTES, CONSOLE_ID, DISK_ID } from './command-line.ts';
import { findMachine, listMachines } from './find.ts';
import { hostTscKhz } from './host-tsc.ts';
import { findQemu, launch, makeMemoryFile } from './launch.ts';
import { Machine, type MachinePorts } from './machine.ts';
import { restoreMachine } from './restore.ts';
import { saveState } from './save.ts';
import { discardState, STATE_FILE } from './state-file.ts';

export type { AcceleratorProbe } from './accelerator.ts';

export interface QemuOptions extends MachinePorts {
  /** Name or path of the QEMU program. */
  qemu: string;
  /** `auto` tries KVM. */
  accelerator: 'auto' | Accelerator['name'];
  probe: AcceleratorProbe;
}

export interface QemuDriver extends VmmDriver {
  readonly kind: 'qemu';
  /** What the guest wrote to its console since it was last read, the newest 64 KiB at most. */
  readConsole(vm: VmRef, signal: AbortSignal): Promise<string>;
}

/**
 * Virtual machines by QEMU's microvm. Each is a process of its own that outlives this one. Everything that the driver
 * remembers of a machine is a connection that it can make again, so a `VmRef` from a journal is as good as a fresh one.
 */
export function createQemuDriver(options: QemuOptions): QemuDriver {
  const ports: MachinePorts = { clock: options.clock, log: options.log };
  const machines = new Map<string, Machine>();
  let deciding: Promise<Accelerator> | undefined;

  const keyOf = ({ pid, startTicks }: VmRef): string => `${pid}:${startTicks}`;
  function machineOf(vm: VmRef): Machine {
    const known = machines.get(keyOf(vm));
    return known ?? remember(new Machine(vm, ports));
  }
  function remember(machine: Machine): Machine {
    machines.set(keyOf(machine.ref), machine);
    return machine;
  }

  async function decideAccelerator(): Promise<Accelerator> {
    if (options.accelerator !== 'auto')
      return { name: options.accelerator, reason: 'asked for by the settings' };
    const qemu = await findQemu(options.qemu);
    // Shared by all who ask, so no single caller's signal may end it; it ends by its own deadline.
    return await probeAccelerator(qemu, options.probe, ports, new AbortController().signal);
  }
  function accelerator(signal: AbortSignal): Promise<Accelerator> {
    deciding ??= decideAccelerator().catch((error: unknown) => {
      deciding = undefined;
      throw error;
    });
    return unlessAborted(deciding, signal);
  }

  async function refuseSecond(sandboxId: string, runDir: string): Promise<void> {
    const there = await findMachine(sandboxId, runDir);
    if (there)
      throw new DormouseError('VMM_FAILED', `The machine of ${sandboxId} runs already (pid ${there.pid}).`);
  }

  async function stopMachine(machine: Machine, graceMs: number, signal: AbortSignal): Promise<void> {
    await machine.stop(graceMs, signal);
    machines.delete(keyOf(machine.ref));
  }

  return {
    kind: 'qemu',
    stateFiles: [STATE_FILE],
    accelerator,

    async start(spec, signal) {
      const [qemu, { name }] = [await findQemu(options.qemu), await accelerator(signal)];
      await refuseSecond(spec.sandboxId, spec.runDir);
      await makeMemoryFile(spec.memoryPath, spec.memoryMb);
      const tscKhz = await hostTscKhz();
      const how = { accelerator: name, beginning: 'boot', tscKhz } as const;
      return remember(await launch({ qemu, spec, ...how }, ports, signal)).ref;
    },

    async restore(spec, stateDir, signal) {
      const [qemu, { name }] = [await findQemu(options.qemu), await accelerator(signal)];
      await refuseSecond(spec.sandboxId, spec.runDir);
      const machine = await restoreMachine({ qemu, spec, accelerator: name }, stateDir, ports, signal);
      return remember(machine).ref;
    },

    async freeze(vm, signal) {
      await machineOf(vm).execute('stop', undefined, signal);
    },

    async thaw(vm, signal) {
      await machineOf(vm).execute('cont', undefined, signal);
    },

    save: (vm, stateDir, signal) => saveState(machineOf(vm), stateDir, options.clock, signal),

    discardSave: discardState,

    async growDisk(vm, sizeBytes, signal) {
      const machine = machineOf(vm);
      const blocks = await machine.execute('query-block', undefined, signal);
      const size = blocks.find(({ device }) => device === DISK_ID)?.inserted?.image['virtual-size'] ?? 0;
      if (sizeBytes < size)
        throw new DormouseError('INVALID_SIZE', `The disk has ${size} bytes; ${sizeBytes} would cut it off.`);
      // Also when the disk has that size already: the guest, which was saved with a smaller one, is told by this alone.
      await machine.execute('block_resize', { device: DISK_ID, size: sizeBytes }, signal);
    },

    async stop(vm, graceMs, signal) {
      if ('pid' in vm && (await machineOf(vm).isAlive())) {
        await stopMachine(machineOf(vm), graceMs, signal);
      } else {
        // The one that is known has ended, but the agent may have died before it could record the one after it.
        if ('pid' in vm) await stopMachine(machineOf(vm), 0, signal);
        const found = await findMachine(vm.sandboxId, vm.runDir);
        if (found) await stopMachine(machineOf(found), graceMs, signal);
      }
      faultPoint('monitor is gone');
    },

    async kill(vm, signal) {
      await machineOf(vm).kill(signal);
      machines.delete(keyOf(vm));
      faultPoint('monitor is gone');
    },

    find: findMachine,
    list: listMachines,

    async status(vm, signal) {
      const machine = machineOf(vm);
      if (!(await machine.isAlive())) return 'gone';
      try {
        return (await machine.execute('query-status', undefined, signal)).running ? 'running' : 'frozen';
      } catch (error) {
        if (!signal.aborted && !(await machine.isAlive())) return 'gone';
        throw error;
      }
    },

    watch: (vm, exited) => machineOf(vm).watch(exited),

    async readConsole(vm, signal) {
      const request = { device: CONSOLE_ID, size: CONSOLE_BYTES, format: 'base64' } as const;
      const content = await machineOf(vm).execute('ringbuf-read', request, signal);
      return Buffer.from(content, 'base64').toString();
    },

    async close() {
      for (const machine of machines.values()) machine.close();
      machines.clear();
    },
  };
}
