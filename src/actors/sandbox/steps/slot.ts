import type { SandboxContext } from '../context.ts';
import type { SandboxDrivers, SandboxStep } from '../drivers.ts';

/** The network slot: acquired and given back. */
export function slotSteps({ network }: SandboxDrivers) {
  const undoSlot = ({ id }: SandboxContext, signal: AbortSignal): Promise<void> =>
    network.release(id, signal);

  const acquireSlot: SandboxStep = {
    name: 'acquireSlot',
    direction: 'forward',
    timeoutMs: 15_000,
    acquires: ['slot'],
    run: async ({ id }, { signal }) => ({ slot: await network.acquire(id, signal) }),
  };

  const releaseSlot: SandboxStep = {
    name: 'releaseSlot',
    direction: 'undo',
    timeoutMs: 15_000,
    releases: ['slot'],
    async run(context, { signal }) {
      await undoSlot(context, signal);
      return { slot: null };
    },
  };

  return { acquireSlot, releaseSlot, undoSlot };
}
