import { readdir, rm } from 'node:fs/promises';
import path from 'node:path';
import { messageOf } from '../../errors/index.ts';
import { isSandboxId } from '../../ids.ts';
import type { Logger } from '../../log.ts';
import type { SandboxDrivers } from '../sandbox/drivers.ts';
import type { Sandbox } from '../sandbox/sandbox.ts';
import { fileJournal } from '../system/journal.ts';

/**
 * The reconciler takes no input: it compares what the machine holds with what the ledgers say. It, and not an event, is
 * what guarantees that nothing leaks. What is not ours it never touches: everything is found by our own folder or name.
 */

export interface Leak {
  kind: 'process' | 'slot' | 'device' | 'loop' | 'folder';
  name: string;
  detail: string;
}

/**
 * Clears what an agent that died left half-made: folders of sandboxes that never had a journal, with what runs in them,
 * devices that no ledger names, and snapshots that were on their way out. Says how many sandboxes and devices it found; a device
 * that stays is a leak, which `findLeaks` reports.
 */
export async function clearDebris(
  root: string,
  drivers: SandboxDrivers,
  signal: AbortSignal,
  log: Pick<Logger, 'warn'>,
): Promise<{ cleared: number; clearedDevices: number }> {
  let cleared = 0;
  for (const id of (await readdir(root).catch(() => [])).filter(isSandboxId)) {
    const folder = path.join(root, id);
    // A journal that cannot be read belongs to a sandbox all the same; adopting says so and leaves it alone.
    const known = await fileJournal(drivers.pathsOf(id).journal)
      .load()
      .then(
        (record) => record !== undefined,
        () => true,
      );
    if (known) {
      const trash = (await readdir(folder)).filter(
        (name) => name.startsWith('trash-') || name.endsWith('.tmp'),
      );
      await Promise.all(trash.map((name) => rm(path.join(folder, name), { recursive: true, force: true })));
      continue;
    }
    await drivers.vmm.stop({ sandboxId: id, runDir: path.join(folder, 'run') }, 0, signal);
    await rm(folder, { recursive: true, force: true });
    cleared += 1;
  }
  return { cleared, clearedDevices: await clearDevices(root, drivers, signal, log) };
}

/** Removes the devices of disks that no ledger names, and those that were only there while something lasted. */
async function clearDevices(
  root: string,
  { disk, pathsOf }: SandboxDrivers,
  signal: AbortSignal,
  log: Pick<Logger, 'warn'>,
): Promise<number> {
  let cleared = 0;
  for (const device of await disk.list(root)) {
    const { journal, live } = pathsOf(device.sandboxId);
    const isHeld = await fileJournal(journal)
      .load()
      .then(
        (record) => record?.ledger.some(({ kind }) => kind === 'disk') ?? false,
        // A journal that cannot be read may name it, and its virtual machine may stand on it.
        () => true,
      );
    if (isHeld && !device.temporary) continue;
    await disk.clear(device, live, signal).then(
      () => (cleared += 1),
      (error: unknown) => log.warn({ ...device, err: messageOf(error) }, 'a device without an owner stays'),
    );
  }
  return cleared;
}

/** The difference between the machine and the ledgers. */
export async function findLeaks(
  root: string,
  drivers: SandboxDrivers,
  sandboxes: readonly Sandbox[],
): Promise<Leak[]> {
  const held = (id: string, kind: string): boolean =>
    sandboxes.some(
      (sandbox) => sandbox.id === id && sandbox.actor.record.ledger.some((entry) => entry.kind === kind),
    );
  const leaks: Leak[] = [];
  for (const vm of await drivers.vmm.list(root)) {
    if (!held(vm.sandboxId, 'vmm'))
      leaks.push({
        kind: 'process',
        name: `pid ${vm.pid}`,
        detail: `A virtual machine of ${vm.sandboxId} runs that no ledger names.`,
      });
  }
  for (const { slot, holder } of await drivers.network.list()) {
    if (holder !== undefined && !held(holder, 'slot'))
      leaks.push({
        kind: 'slot',
        name: slot.namespace,
        detail: `The slot is held for ${holder}, whose ledger does not name it.`,
      });
  }
  for (const { kind, name, sandboxId, temporary } of await drivers.disk.list(root)) {
    // One that is there while a disk is flattened is a leak only when nobody flattens it any more: then a start clears it.
    if (!temporary && !held(sandboxId, 'disk'))
      leaks.push({
        kind,
        name,
        detail: `It is part of a disk of ${sandboxId}, whose ledger does not name it.`,
      });
  }
  for (const id of (await readdir(root).catch(() => [])).filter(isSandboxId)) {
    if (!sandboxes.some((sandbox) => sandbox.id === id))
      leaks.push({
        kind: 'folder',
        name: id,
        detail: 'There is a folder of a sandbox that the host does not keep.',
      });
  }
  return leaks;
}
