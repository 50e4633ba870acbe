import type { VmExit, VmmDriver, VmRef, VmSpec } from '../../../src/drivers/vmm/types.ts';
import { DormouseError } from '../../../src/errors/index.ts';
import type { Machine } from '../world/machines.ts';
import { STATE_FILE } from '../world/machines.ts';
import { boundHere, here } from '../world/process.ts';
import type { World } from '../world/world.ts';

/** What takes a monitor so long that events are told meanwhile, in milliseconds. */
const SLOW = new Set(['start', 'restore', 'save', 'stop']);
const SLOW_MS = 60;

/** The driver of virtual machines over the simulated ones. What can go wrong with QEMU goes wrong here, in its words. */
export function simulatedVmm(world: World): VmmDriver {
  const { machines, files } = world;
  const failed = (): Error => new DormouseError('VMM_FAILED', 'The simulation made the monitor fail.');
  const effect = async <T>(label: string, act: () => T, signal: AbortSignal): Promise<T> => {
    signal.throwIfAborted();
    if (SLOW.has(label)) await world.clock.sleep(SLOW_MS, signal);
    return await world.effect(`vmm ${label}`, act, { error: failed });
  };
  const found = (vm: VmRef): Machine => {
    const machine = machines.find(vm);
    if (!machine) throw new DormouseError('VMM_GONE', 'The process of the virtual machine is gone.');
    return machine;
  };
  const refOf = ({ sandboxId, runDir, pid, startTicks }: Machine): VmRef => ({
    sandboxId,
    runDir,
    pid,
    startTicks,
  });
  const begin = (act: () => Machine): VmRef => {
    try {
      return refOf(act());
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      throw new DormouseError(
        code === 'ENXIO' ? 'VMM_FAILED' : 'SNAPSHOT_INVALID',
        'The machine was not started.',
        {
          cause: error,
        },
      );
    }
  };

  return {
    kind: 'qemu',
    stateFiles: [STATE_FILE],
    accelerator: async () => ({ name: 'tcg', reason: 'simulated' }),
    start: (spec: VmSpec, signal) => effect('start', () => begin(() => machines.boot(spec)), signal),
    restore: (spec, stateDir, signal) =>
      effect('restore', () => begin(() => machines.load(spec, stateDir)), signal),
    freeze: (vm, signal) => effect('freeze', () => machines.freeze(found(vm)), signal),
    thaw: (vm, signal) => effect('thaw', () => machines.thaw(found(vm)), signal),
    save: (vm, stateDir, signal) => effect('save', () => machines.save(found(vm), stateDir), signal),
    async discardSave(stateDir) {
      if (files.find(`${stateDir}/${STATE_FILE}`))
        await world.suffer('vmm discard save', () => files.remove(`${stateDir}/${STATE_FILE}`));
    },
    growDisk: (vm, _sizeBytes, signal) => effect('grow disk', () => void found(vm), signal),
    async stop(vm, _graceMs, signal) {
      signal.throwIfAborted();
      const machine = 'pid' in vm ? machines.find(vm) : machines.of(vm.sandboxId);
      if (machine) await effect('stop', () => machines.end(machine), signal);
    },
    async kill(vm, signal) {
      signal.throwIfAborted();
      const machine = machines.find(vm);
      if (machine) await effect('kill', () => machines.end(machine), signal);
    },
    async find(sandboxId) {
      await world.turn('vmm find');
      const machine = machines.of(sandboxId);
      return machine && refOf(machine);
    },
    list: async () => machines.all().map(refOf),
    async status(vm, signal) {
      return await effect('status', () => machines.find(vm)?.state ?? 'gone', signal);
    },
    watch(vm, exited) {
      const machine = machines.find(vm);
      const tell = boundHere((exit: VmExit) => {
        void world.turn('vmm exited').then(() => !here().process.isDead && exited(exit));
      });
      if (!machine) tell({ reason: 'unknown', detail: 'the process was gone when it was looked for' });
      machine?.watchers.add(tell);
      return () => machine?.watchers.delete(tell);
    },
    close: async () => {},
  };
}
