import { cpus, totalmem } from 'node:os';
import { DormouseError } from '../../errors/index.ts';
import type { SandboxContext } from '../sandbox/context.ts';
import type { Sandbox } from '../sandbox/sandbox.ts';
import type { HostInfo } from './protocol.ts';

const BYTES_PER_MB = 1024 * 1024;
/** vCPUs are shared: sandboxes idle most of the time. */
const VCPUS_PER_CPU = 16;
/** What is left to the host itself. */
const MEMORY_SHARE = 0.9;

export interface Limits {
  vcpus: number;
  memoryMb: number;
}

/** What running sandboxes may take together, from the settings or from the machine. */
export function limitsOf(config: { vcpus?: number | undefined; memoryMb?: number | undefined }): Limits {
  return {
    vcpus: config.vcpus ?? cpus().length * VCPUS_PER_CPU,
    memoryMb: config.memoryMb ?? Math.floor((totalmem() / BYTES_PER_MB) * MEMORY_SHARE),
  };
}

/** What the sandboxes take that have a virtual machine or are about to. */
export function usedBy(sandboxes: readonly Sandbox[]): HostInfo['used'] {
  const active = sandboxes.filter(({ actor }) => !/^(paused|crashed|failed|destroyed)/.test(actor.state));
  const sum = (of: (options: SandboxContext['options']) => number): number =>
    active.reduce((total, { context }) => total + of(context.options), 0);
  return {
    vcpus: sum((options) => options.vcpus),
    memory_mb: sum((options) => options.memory_mb),
    sandboxes: sandboxes.length,
  };
}

/** @throws `INVALID_SIZE` when the sandbox could never fit here, `NO_HOST_AVAILABLE` when it does not fit now */
export function checkRoom(options: SandboxContext['options'], limits: Limits, used: HostInfo['used']): void {
  if (options.vcpus > limits.vcpus || options.memory_mb > limits.memoryMb) {
    throw new DormouseError(
      'INVALID_SIZE',
      `The host has ${limits.vcpus} vCPUs and ${limits.memoryMb} MiB for sandboxes; ${options.vcpus} and ${options.memory_mb} were asked for.`,
    );
  }
  if (used.vcpus + options.vcpus > limits.vcpus || used.memory_mb + options.memory_mb > limits.memoryMb) {
    throw new DormouseError(
      'NO_HOST_AVAILABLE',
      `The host is full: ${used.vcpus} of ${limits.vcpus} vCPUs and ${used.memory_mb} of ${limits.memoryMb} MiB are in use. Pause or destroy a sandbox.`,
    );
  }
}
