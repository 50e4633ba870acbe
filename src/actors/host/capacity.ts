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

/** Whether a sandbox that had no virtual machine is in the step that asks for room for one. */
function isReturning({ actor, context }: Sandbox): boolean {
  return (
    actor.state === 'resuming.cloning' ||
    actor.state === 'restarting.forgetting' ||
    (actor.state === 'restarting.stoppingVm' && context.slot === null)
  );
}

/**
 * @param count how many of these there are to be
 * @throws `INVALID_SIZE` when they could never fit here, `NO_HOST_AVAILABLE` when they do not fit now
 */
export function checkRoom(
  options: Pick<SandboxContext['options'], 'vcpus' | 'memory_mb'>,
  limits: Limits,
  used: Pick<HostInfo['used'], 'vcpus' | 'memory_mb'>,
  count = 1,
): void {
  const vcpus = options.vcpus * count;
  const memoryMb = options.memory_mb * count;
  if (vcpus > limits.vcpus || memoryMb > limits.memoryMb) {
    throw new DormouseError(
      'INVALID_SIZE',
      `The host has ${limits.vcpus} vCPUs and ${limits.memoryMb} MiB for sandboxes; ${vcpus} and ${memoryMb} were asked for.`,
    );
  }
  if (used.vcpus + vcpus > limits.vcpus || used.memory_mb + memoryMb > limits.memoryMb) {
    throw new DormouseError(
      'NO_HOST_AVAILABLE',
      `The host is full: ${used.vcpus} of ${limits.vcpus} vCPUs and ${used.memory_mb} of ${limits.memoryMb} MiB are in use. Pause or destroy a sandbox.`,
    );
  }
}

/** What is promised to sandboxes that are about to be begun, so that two that are asked for at once do not get the same room. */
export class Room {
  readonly #limits: Limits;
  readonly #used: () => HostInfo['used'];
  #promised = { vcpus: 0, memory_mb: 0 };
  /** Ids of those that are about to have a virtual machine again, and found room for it. */
  readonly #returned = new Set<string>();

  constructor(limits: Limits, used: () => HostInfo['used']) {
    this.#limits = limits;
    this.#used = used;
  }

  /**
   * Keeps room for so many sandboxes of that size until each is begun, and so is counted, or will not be.
   *
   * @returns to be called once for each
   * @throws what `checkRoom` throws
   */
  keep(options: Pick<SandboxContext['options'], 'vcpus' | 'memory_mb'>, count = 1): () => void {
    const { vcpus, memory_mb } = this.#used();
    const used = {
      vcpus: vcpus + this.#promised.vcpus,
      memory_mb: memory_mb + this.#promised.memory_mb,
    };
    checkRoom(options, this.#limits, used, count);
    const promise = (times: number): void => {
      this.#promised.vcpus += options.vcpus * times;
      this.#promised.memory_mb += options.memory_mb * times;
    };
    promise(count);
    let left = count;
    return () => {
      if (left > 0) promise(-1);
      left -= 1;
    };
  }

  /**
   * Checks that there is room for a sandbox that rests without a virtual machine and is to have one again. Of several that ask at
   * once the first ones get what there is: who has not asked yet does not count.
   *
   * @param sandboxes all of the host, the one that asks among them
   * @throws `NO_HOST_AVAILABLE`
   */
  checkReturn(
    hostId: string,
    { id, options }: Pick<SandboxContext, 'id' | 'options'>,
    sandboxes: readonly Sandbox[],
  ): void {
    for (const known of [...this.#returned])
      if (known === id || !sandboxes.some((other) => other.id === known)) this.#returned.delete(known);
    const used = usedBy(
      sandboxes.filter((other) => other.id !== id && (this.#returned.has(other.id) || !isReturning(other))),
    );
    const free = {
      vcpus: Math.max(0, this.#limits.vcpus - used.vcpus - this.#promised.vcpus),
      memory_mb: Math.max(0, this.#limits.memoryMb - used.memory_mb - this.#promised.memory_mb),
    };
    const { vcpus, memory_mb } = options;
    if (vcpus > free.vcpus || memory_mb > free.memory_mb)
      throw new DormouseError(
        'NO_HOST_AVAILABLE',
        `The host ${hostId} is full: the sandbox needs ${vcpus} vCPUs and ${memory_mb} MiB, and ${free.vcpus} and ${free.memory_mb} MiB are free. Pause or destroy another one, or try again later.`,
        { data: { host_id: hostId, asked: { vcpus, memory_mb }, free } },
      );
    this.#returned.add(id);
  }
}
