import { rm } from 'node:fs/promises';
import { DormouseError } from '../../errors/index.ts';
import type { SandboxDrivers } from '../sandbox/drivers.ts';
import { fileJournal } from '../system/journal.ts';
import { look, type Thing } from './reconcile.ts';

/** How things that are nobody's are removed, and what there is of them before the first actor of a host lives. */

/** The order of removing: what stands on something goes before it. */
const LEVELS: ReadonlyArray<Thing['level']> = [
  'process',
  'device',
  'loop',
  'slot',
  'files',
  'trash',
  'half-written',
  'folder',
];

/** In the order in which they are to be removed. */
export function inOrder(things: readonly Thing[]): Thing[] {
  return [...things].sort((a, b) => LEVELS.indexOf(a.level) - LEVELS.indexOf(b.level));
}

/**
 * Makes sure that a thing is gone which nobody holds. Whoever calls this has seen to it that no actor of that sandbox lives,
 * or that the thing is one that actors never touch again.
 *
 * @throws what the drivers throw, `NETWORK_FAILED` for a slot that stays
 */
export async function remove(thing: Thing, drivers: SandboxDrivers, signal: AbortSignal): Promise<void> {
  const { vmm, disk, network, pathsOf } = drivers;
  const { root, run, live } = pathsOf(thing.sandboxId);
  switch (thing.level) {
    case 'process':
      return await vmm.kill(thing.vm, signal);
    case 'device':
    case 'loop':
      return await disk.clear(thing.device, live, signal);
    case 'slot':
      await network.release(thing.sandboxId, signal);
      if ((await network.list()).some(({ holder }) => holder === thing.sandboxId))
        throw new DormouseError('NETWORK_FAILED', `The slot ${thing.name} could not be removed yet.`);
      return;
    case 'files':
      return await rm(pathsOf(thing.sandboxId)[thing.kind], { recursive: true, force: true });
    case 'trash':
    case 'half-written':
      return await rm(thing.path, { recursive: true, force: true });
    case 'folder':
      // A monitor that was started since the processes were looked at.
      await vmm.stop({ sandboxId: thing.sandboxId, runDir: run }, 0, signal);
      return await rm(root, { recursive: true, force: true });
  }
}

/** Things to be removed before a host has actors, and why: one entry for each sandbox, in the order of removing. */
export interface Debris {
  things: Thing[];
  why: string;
}

/**
 * What an agent that died left half-made. Nothing is under way at a start, since the data directory is locked, so the journals
 * in the folders are the whole truth:
 *
 * - of a sandbox without a journal, which was never answered for: everything;
 * - of others: devices that the ledger does not name, those of a disk that was being flattened, those that were never given a table,
 *   snapshots that were being deleted, and journals that were being written under a temporary name.
 *
 * A journal that cannot be read belongs to a sandbox all the same: what is there of it stays. Slots are the network
 * driver's, which starts with the ids of those who hold one.
 */
export async function lookForDebris(root: string, drivers: SandboxDrivers): Promise<Debris[]> {
  const bySandbox = new Map<string, Thing[]>();
  for (const thing of await look(root, drivers, ['processes', 'devices', 'files']))
    bySandbox.set(thing.sandboxId, [...(bySandbox.get(thing.sandboxId) ?? []), thing]);
  const debris: Debris[] = [];
  for (const [id, things] of bySandbox) {
    const record = await fileJournal(drivers.pathsOf(id).journal)
      .load()
      .catch(() => 'unreadable' as const);
    if (record === 'unreadable') continue;
    const left = things.filter((thing) => {
      if (record === undefined || thing.level === 'trash' || thing.level === 'half-written') return true;
      if (thing.kind !== 'disk') return false;
      const { temporary, withoutTable } = thing.device;
      return temporary || withoutTable || !record.ledger.some(({ kind }) => kind === 'disk');
    });
    const why = record ? 'its ledger does not name it' : 'it has no journal: it was never answered for';
    // Its folder takes its files along.
    const listed = left.filter(({ level }) => record || !/^(files|trash|half-written)$/.test(level));
    if (listed.length > 0) debris.push({ things: inOrder(listed), why });
  }
  return debris;
}
