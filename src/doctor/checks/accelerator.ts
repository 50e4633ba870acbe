import { messageOf } from '../../errors/index.ts';
import type { Check } from '../finding.ts';

/** How virtual CPUs run. Decided by booting a kernel: a /dev/kvm that opens need not be one that works. */
export const checkAccelerator: Check = async ({ accelerator, signal }) => {
  const name = 'accelerator';
  try {
    const { name: kind, reason } = await accelerator(signal);
    if (kind === 'kvm') return { name, status: 'ok', found: `KVM (${reason})` };
    return {
      name,
      status: 'note',
      found: `emulation, TCG (${reason})`,
      cost: 'guests run several times slower',
      remedy:
        'use a machine with /dev/kvm, or a virtual one with nested virtualisation; DORMOUSE_ACCELERATOR forces either',
    };
  } catch (error) {
    signal.throwIfAborted();
    return {
      name,
      status: 'missing',
      found: messageOf(error),
      cost: 'no sandbox can run',
      remedy: 'npm run setup',
    };
  }
};
