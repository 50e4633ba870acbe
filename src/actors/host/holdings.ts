import type { SandboxDrivers } from '../sandbox/drivers.ts';
import type { Holdings } from './inspection-protocol.ts';

/** The slots and devices that a host holds, by looking at the machine. Throws what the drivers throw. */
export async function slotsAndDevices(
  root: string,
  { network, disk }: Pick<SandboxDrivers, 'network' | 'disk'>,
): Promise<Pick<Holdings, 'slots' | 'devices'>> {
  const slots = await network.list();
  const used = slots.filter(({ holder }) => holder !== undefined).length;
  const devices = await disk.list(root);
  return {
    slots: { used, spare: slots.length - used },
    devices: devices
      .map(({ name, kind, sandboxId }) => ({ name, kind, sandbox_id: sandboxId }))
      .sort((a, b) => a.name.localeCompare(b.name)),
  };
}
