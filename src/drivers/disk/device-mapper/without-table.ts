import { dmsetup } from './dmsetup.ts';
import { ownerOf } from './names.ts';
import type { DeviceMapperPorts } from './ports.ts';
import { parseWithoutTable } from './tables.ts';

/**
 * Devices without a table. dmsetup(8) makes a device, gives it a table and lets it begin, each with a call of the kernel. When it
 * is ended after the first one, there is a device that stands on nothing, holds nothing and cannot be opened; but its name is taken.
 *
 * sysfs shows a device from its first table on (Linux 5.15 and later), so looking for these takes a process. It is done where
 * something is looked for that was left, and where attaching has failed; nothing that has to be quick waits for it.
 */

/** Names of those that are ours, by name and UUID. Throws what `dmsetup` throws. */
export async function seeWithoutTable(): Promise<string[]> {
  const columns = ['--columns', '--noheadings', '--separator', '/', '--options', 'name,uuid,tables_loaded'];
  return parseWithoutTable(await dmsetup(['info', ...columns])).filter((name) => ownerOf(name) !== undefined);
}

/**
 * Makes sure that there are no devices without a table of these names. It looks and removes in one turn of the lane: one that is
 * just being made has its table then, and stays.
 *
 * @throws what `dmsetup` throws; the signal's reason when it aborts
 */
export async function removeWithoutTable(
  names: readonly string[],
  { lane }: Pick<DeviceMapperPorts, 'lane'>,
  signal: AbortSignal,
): Promise<void> {
  await lane(
    'disk: remove devices without a table',
    async () => {
      for (const name of await seeWithoutTable()) if (names.includes(name)) await dmsetup(['remove', name]);
    },
    signal,
  );
}
