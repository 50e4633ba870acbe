import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createWriteStream } from 'node:fs';
import { mkdir, open } from 'node:fs/promises';
import net from 'node:net';
import path from 'node:path';
import { pipeline } from 'node:stream/promises';
import { qemuArguments, qmpSocket, stateSocket } from '../../src/drivers/vmm/qemu/command-line.ts';
import { hostTscKhz } from '../../src/drivers/vmm/qemu/host-tsc.ts';
import type { Accelerator, VmSpec } from '../../src/drivers/vmm/types.ts';
import { Qmp } from './qmp.ts';

const CAPABILITIES = ['x-ignore-shared', 'events'].map((capability) => ({ capability, state: true }));
/** Bytes per second and milliseconds: nothing must hold the stream back. */
const NO_LIMITS = { 'max-bandwidth': 10 ** 12, 'downtime-limit': 10 ** 6 };
const STATE_FILE = 'device.state';

export interface Qemu {
  program: string;
  accelerator: Accelerator['name'];
}

/** One QEMU process with the command line that Dormouse uses, driven without anything around it. */
export class BareMachine {
  readonly #child: ChildProcess;
  readonly #exited: Promise<unknown>;
  readonly #runDir: string;
  #qmp: Qmp | undefined;

  private constructor(child: ChildProcess, runDir: string) {
    this.#child = child;
    this.#exited = once(child, 'exit');
    this.#runDir = runDir;
  }

  /** Boots on the memory and disk that the spec names; the monitor is connected on return. */
  static async boot(qemu: Qemu, spec: VmSpec): Promise<BareMachine> {
    const memory = await open(spec.memoryPath, 'w', 0o600);
    await memory.truncate(spec.memoryMb * 2 ** 20);
    await memory.close();
    return await BareMachine.#start(qemu, spec, 'boot');
  }

  /** Loads the devices' state from `stateDir` and lets the vCPUs run. */
  static async load(qemu: Qemu, spec: VmSpec, stateDir: string): Promise<BareMachine> {
    const state = await open(path.join(stateDir, STATE_FILE), 'r');
    try {
      const machine = await BareMachine.#start(qemu, spec, 'load', state.fd);
      try {
        const qmp = machine.#monitor();
        await qmp.execute('migrate-set-capabilities', { capabilities: CAPABILITIES });
        await qmp.migrate('migrate-incoming', 'fd:3');
        await qmp.execute('cont');
        return machine;
      } catch (error) {
        await machine.kill();
        throw error;
      }
    } finally {
      await state.close();
    }
  }

  static async #start(
    { program, accelerator }: Qemu,
    spec: VmSpec,
    beginning: 'boot' | 'load',
    inherit?: number,
  ): Promise<BareMachine> {
    await mkdir(spec.runDir, { recursive: true });
    const tscKhz = beginning === 'boot' ? await hostTscKhz() : undefined;
    const child = spawn(
      'nsenter',
      [
        `--net=${spec.slot.namespacePath}`,
        '--',
        program,
        ...qemuArguments(spec, { accelerator, beginning, tscKhz }),
      ],
      {
        // A Ctrl-C at the terminal is for the benchmark, which ends its machines.
        detached: true,
        env: { PATH: process.env.PATH ?? '' },
        stdio: ['ignore', 'ignore', 'inherit', ...(inherit === undefined ? [] : [inherit])],
      },
    );
    const machine = new BareMachine(child, spec.runDir);
    try {
      machine.#qmp = await Qmp.connect(qmpSocket(spec.runDir));
      return machine;
    } catch (error) {
      await machine.kill();
      throw error;
    }
  }

  /** Freezes the vCPUs and writes the devices' state into `stateDir`, through to the disk. */
  async save(stateDir: string): Promise<void> {
    const qmp = this.#monitor();
    await qmp.execute('stop');
    await qmp.execute('migrate-set-capabilities', { capabilities: CAPABILITIES });
    await qmp.execute('migrate-set-parameters', NO_LIMITS);
    const socketPath = stateSocket(this.#runDir);
    const server = net.createServer().listen(socketPath);
    await once(server, 'listening');
    try {
      const written = once(server, 'connection').then(async ([socket]) => {
        const file = createWriteStream(path.join(stateDir, STATE_FILE), { flush: true });
        await pipeline(socket as net.Socket, file);
      });
      await Promise.all([qmp.migrate('migrate', `unix:${socketPath}`), written]);
    } finally {
      server.close();
    }
  }

  /** Asks the process to end and waits until it is gone. */
  async quit(): Promise<void> {
    this.#monitor().quit();
    await this.#exited;
    this.#qmp?.close();
  }

  async kill(): Promise<void> {
    if (this.#child.exitCode === null && this.#child.signalCode === null) {
      this.#child.kill('SIGKILL');
      await this.#exited;
    }
    this.#qmp?.close();
  }

  #monitor(): Qmp {
    if (!this.#qmp) throw new Error('the monitor is not connected');
    return this.#qmp;
  }
}
