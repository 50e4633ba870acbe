import type { VmExit, VmRef, VmSpec } from '../../../src/drivers/vmm/types.ts';
import { MEMORY_FILE, META_FILE } from '../../../src/paths.ts';
import type { CowModel } from './block.ts';
import { errno, type FileNode, type Node } from './file-system.ts';
import type { World } from './world.ts';

/** What a guest has in its memory: a number that was written, the programs that ran, and the kit's token. */
export interface MemoryModel extends Record<string, unknown> {
  /** Changes whenever the vCPUs run: a state of the devices belongs to one version of the memory. */
  version: number;
  token: string;
  written: number;
  /** Results of the programs, by their ids. */
  execs: Record<string, string>;
}

/** A virtual machine's process. It belongs to nobody: it outlives the agent. */
export interface Machine extends VmRef {
  spec: VmSpec;
  state: 'running' | 'frozen';
  memory: FileNode;
  /** Version of the memory that the vCPUs' registers belong to. */
  version: number;
  watchers: Set<(exit: VmExit) => void>;
}

export const STATE_FILE = 'device.state';

/** The virtual machines of the host, and what must hold for them at every moment. */
export class Machines {
  readonly #world: World;
  readonly #alive = new Map<number, Machine>();
  #pids = 1000;
  /** When a machine was lost that its sandbox did not let go. */
  readonly #lost = new Map<string, number>();
  readonly #refused = new Set<string>();
  readonly #booted = new Map<string, number>();

  constructor(world: World) {
    this.#world = world;
  }

  all(): Machine[] {
    return [...this.#alive.values()];
  }

  find(vm: Pick<VmRef, 'pid' | 'startTicks'>): Machine | undefined {
    const machine = this.#alive.get(vm.pid);
    return machine?.startTicks === vm.startTicks ? machine : undefined;
  }

  of(sandboxId: string): Machine | undefined {
    return this.all().find((machine) => machine.sandboxId === sandboxId);
  }

  /** The machine in whose namespace the address leads to. */
  at(address: string): Machine | undefined {
    return this.all().find(({ spec }) => spec.slot.address === address);
  }

  /** Boots a machine: new memory, the disk as it is. @throws ENOENT, ENXIO */
  boot(spec: VmSpec): Machine {
    const memory = this.#world.files.find(spec.memoryPath)
      ? this.#world.files.file(spec.memoryPath)
      : this.#world.files.create(spec.memoryPath);
    this.#booted.set(spec.sandboxId, this.#world.moment());
    const model: MemoryModel = { version: 1, token: spec.token, written: 0, execs: {} };
    this.#world.files.write(memory, { model, bytes: spec.memoryMb * 2 ** 20 });
    return this.#begin(spec, memory, 'running', 1);
  }

  /** Loads a state of the devices on the memory file that is there. @throws ENOENT, ENXIO */
  load(spec: VmSpec, stateDir: string): Machine {
    const state = this.#world.files.file(`${stateDir}/${STATE_FILE}`);
    const memory = this.#world.files.file(spec.memoryPath);
    const { version } = (state.model ?? {}) as { version?: number };
    if (version === undefined || !memory.model) throw errno('EINVAL', stateDir);
    if (version !== memory.model.version)
      this.#world.violate(
        `${spec.sandboxId} is loaded from a state of its devices that does not belong to its memory`,
      );
    return this.#begin(spec, memory, 'frozen', version);
  }

  /** Lets the vCPUs run: what was saved of them is of the past from now on. */
  thaw(machine: Machine): void {
    if (machine.state === 'running') return;
    const live = machine.spec.memoryPath.slice(0, -MEMORY_FILE.length);
    if (this.#world.files.find(`${live}${STATE_FILE}`) && this.#world.files.find(`${live}${META_FILE}`))
      this.#world.violate(`${machine.sandboxId} goes on while its saved state can still be loaded`);
    machine.state = 'running';
    this.change(machine, {});
  }

  freeze(machine: Machine): void {
    machine.state = 'frozen';
  }

  /** Writes the state of the devices, and waits for the disk. */
  save(machine: Machine, stateDir: string): void {
    if (machine.state === 'running') this.#world.violate(`${machine.sandboxId} is saved while its vCPUs run`);
    const file = this.#world.files.create(`${stateDir}/${STATE_FILE}`);
    this.#world.files.write(file, { model: { version: machine.version }, bytes: 64 });
    this.#world.files.sync(file);
  }

  memoryOf(machine: Machine): MemoryModel {
    return machine.memory.model as MemoryModel;
  }

  /** What the guest wrote to its disk, and waited for. */
  writeDisk(machine: Machine, value: number): void {
    const { file } = this.#disk(machine);
    const model = file.model as CowModel;
    this.#world.files.write(file, {
      model: { ...model, written: { ...model.written, value } },
    });
    this.#world.files.sync(file);
  }

  readDisk(machine: Machine): number {
    return this.#world.blocks.contentOf(machine.spec.diskPath.replace('/dev/mapper/', '')).value ?? 0;
  }

  /** The process ends. Those that watch it are told, unless it was asked to end. */
  end(machine: Machine, exit?: VmExit): void {
    if (!this.#alive.delete(machine.pid)) return;
    this.#world.note(`the machine of ${machine.sandboxId} ends: ${exit?.reason ?? 'stopped'}`);
    const device = this.#world.blocks.devices.get(machine.spec.diskPath.replace('/dev/mapper/', ''));
    if (device) device.opened -= 1;
    if (exit) this.#lost.set(machine.sandboxId, this.#world.moment());
    if (exit) for (const watcher of [...machine.watchers]) watcher(exit);
  }

  /** When the sandbox lost its machine, or its memory, to something that nobody asked for. */
  lostAt(sandboxId: string): number | undefined {
    return this.#lost.get(sandboxId);
  }

  /** Whether the sandbox was paused, and the power was cut before its memory had reached the disk: it may be refused. */
  mayRefuse(sandboxId: string): boolean {
    return this.#refused.has(sandboxId);
  }

  /** When the sandbox booted last: its memory begins with that. 0 for one that was only ever loaded. */
  bootedAt(sandboxId: string): number {
    return this.#booted.get(sandboxId) ?? 0;
  }

  /** The sandbox's memory is not what it was, with good reason. */
  forgive(sandboxId: string): void {
    this.#lost.set(sandboxId, this.#world.moment());
  }

  /** A paused sandbox is safe whose memory is marked as synced, if the mark is on the disk. Every other one may lose its memory. */
  losePower(sandboxes: ReadonlyMap<string, Node>): void {
    for (const [id, folder] of sandboxes) {
      const snapshot = folder.kind === 'folder' ? folder.durable.get('snapshot') : undefined;
      if (snapshot?.kind === 'folder' && snapshot.durable.has('synced') && !this.of(id)) continue;
      this.forgive(id);
      this.#refused.add(id);
    }
    this.#alive.clear();
  }

  /** The guest does something: its memory changes. */
  change(machine: Machine, memory: Partial<MemoryModel>): void {
    machine.version += 1;
    const model = { ...(machine.memory.model as MemoryModel), ...memory, version: machine.version };
    this.#world.files.write(machine.memory, { model });
  }

  #begin(spec: VmSpec, memory: FileNode, state: Machine['state'], version: number): Machine {
    const twin = this.of(spec.sandboxId);
    if (twin) this.#world.violate(`${spec.sandboxId} has two virtual machines`);
    if (!this.#world.slots.list().some(({ holder }) => holder === spec.sandboxId))
      this.#world.violate(`${spec.sandboxId} is started in a network namespace that is not its own`);
    this.#pids += 1;
    const machine: Machine = {
      sandboxId: spec.sandboxId,
      runDir: spec.runDir,
      pid: this.#pids,
      startTicks: String(this.#pids),
      spec,
      state,
      memory,
      version,
      watchers: new Set(),
    };
    const device = this.#world.blocks.devices.get(spec.diskPath.replace('/dev/mapper/', ''));
    if (!device) throw errno('ENXIO', spec.diskPath);
    device.opened += 1;
    this.#alive.set(machine.pid, machine);
    if (state === 'running') this.change(machine, {});
    return machine;
  }

  #disk(machine: Machine): { file: FileNode } {
    const file = this.#world.blocks.cowOf(machine.spec.diskPath.replace('/dev/mapper/', ''));
    if (!file) throw errno('EIO', machine.spec.diskPath);
    return { file };
  }
}
