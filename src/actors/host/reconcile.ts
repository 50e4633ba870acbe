import { readdir } from 'node:fs/promises';
import path from 'node:path';
import type { HeldDevice } from '../../drivers/disk/types.ts';
import type { VmRef } from '../../drivers/vmm/types.ts';
import { isSandboxId } from '../../ids.ts';
import type { SandboxDrivers } from '../sandbox/drivers.ts';
import { isGone } from '../sandbox/protocol.ts';
import type { Sandbox } from '../sandbox/sandbox.ts';
import { type Found, standingOf } from '../sandbox/tidy.ts';
import { stateName } from '../system/decide.ts';
import { fileJournal } from '../system/journal.ts';

/**
 * The reconciler takes no input: it compares what the machine holds with what the ledgers say, level by level: processes,
 * devices, loops, slots, folders. It, and not an event, is what guarantees that nothing leaks. A ledger names kinds, of which a sandbox
 * has one each, and of virtual machines the very process.
 *
 * What is ours is found by our own folder, name or holder: virtual machines by the run folder that they were started with,
 * devices and loops by the files under them (those without a table by name and folder), slots by the id of the host that is kept
 * with each, folders by names that are ids of sandboxes. Everything else is not looked at.
 */

/** One thing on the machine that is ours. */
export type Thing = {
  sandboxId: string;
  /** For a person. */
  name: string;
  /** Names this very thing: one that comes later under the same name is another. */
  key: string;
} & (
  | { level: 'process'; kind: 'vmm'; vm: VmRef }
  | { level: 'device' | 'loop'; kind: 'disk'; device: HeldDevice }
  | { level: 'slot'; kind: 'slot' }
  /** The folder `live/` or `snapshot/` of a sandbox. */
  | { level: 'files'; kind: 'live' | 'snapshot' }
  /** An old snapshot, renamed, which is to be deleted. */
  | { level: 'trash'; kind: undefined; path: string }
  /** A journal under a temporary name: being written, or left by an agent that was killed meanwhile. */
  | { level: 'half-written'; kind: undefined; path: string }
  /** The folder of a sandbox. */
  | { level: 'folder'; kind: undefined }
);

/**
 * A thing that no ledger names. What may be done about it: `clear`: it is nobody's. `tidy`: a sandbox that rests, and cannot need
 * it, gives it back itself. `wait`: an operation under way may be acquiring it right now. `leave`: it may be needed, and a person
 * has to look.
 */
export type Unowned = {
  /** For a person. */
  why: string;
} & ({ how: 'tidy'; thing: Stray } | { how: 'clear' | 'wait' | 'leave'; thing: Thing });

/** A thing of a kind that ledgers name. */
export type Stray = Extract<Thing, Found>;

/** One line of `dormouse host leaks`. */
export interface Leak {
  kind: 'process' | 'slot' | 'device' | 'loop' | 'folder' | 'capture' | 'template' | 'upload';
  name: string;
  detail: string;
}

/** Says who keeps a sandbox: its actor, somebody who begins or ends it right now, or nobody. */
export interface Keepers {
  keeperOf(sandboxId: string): Sandbox | 'under way' | undefined;
}

/** What the journal in a folder is to somebody who is not the sandbox's actor. */
export type Journaled = 'none' | 'unreadable' | 'ended' | 'goes on';

/** Looks at the machine: all levels, or some. Throws what the drivers throw. */
export async function look(
  root: string,
  drivers: SandboxDrivers,
  levels: readonly ('processes' | 'devices' | 'slots' | 'files')[] = [
    'processes',
    'devices',
    'slots',
    'files',
  ],
): Promise<Thing[]> {
  const lookers = {
    processes: () => processes(root, drivers),
    devices: () => devices(root, drivers),
    slots: () => slots(drivers),
    files: () => files(root, drivers),
  };
  const things: Thing[] = [];
  for (const level of levels) things.push(...(await lookers[level]()));
  return things;
}

/** The difference between the machine and the ledgers, with what may be done about each. */
export async function compare(root: string, drivers: SandboxDrivers, keepers: Keepers): Promise<Unowned[]> {
  const things = await look(root, drivers);
  const journaled = new Map<string, Journaled>();
  for (const { sandboxId } of things)
    if (keepers.keeperOf(sandboxId) === undefined && !journaled.has(sandboxId))
      journaled.set(sandboxId, await journalOf(drivers.pathsOf(sandboxId).journal));
  return things.flatMap((thing) => judge(thing, keepers.keeperOf(thing.sandboxId), journaled));
}

/**
 * The difference as leaks, for a person. What a sandbox gave back while we looked is no leak, so what is found is looked for
 * again. Old snapshots are no leaks either: they are being deleted.
 */
export async function findLeaks(root: string, drivers: SandboxDrivers, keepers: Keepers): Promise<Leak[]> {
  const isLeak = ({ thing }: Unowned): boolean => thing.level !== 'trash';
  const first = (await compare(root, drivers, keepers)).filter(isLeak);
  if (first.length === 0) return [];
  const again = (await compare(root, drivers, keepers)).filter(isLeak);
  return again
    .filter(({ thing }) => first.some((before) => before.thing.key === thing.key))
    .map(({ thing, why }) => ({
      kind: /^(files|trash|half-written)$/.test(thing.level) ? 'folder' : (thing.level as Leak['kind']),
      name: thing.name,
      detail: why,
    }));
}

/** Things in our own folder, or held in our name, that are not ours. They are never touched. Names for a person. */
export async function findForeign(root: string, drivers: SandboxDrivers): Promise<string[]> {
  const folders = await readdir(root).catch(() => []);
  const machines = await drivers.vmm.list(root);
  return [
    ...folders.filter((name) => !isSandboxId(name)).map((name) => `folder ${name}`),
    ...machines.filter(({ sandboxId }) => !isSandboxId(sandboxId)).map(({ pid }) => `process ${pid}`),
  ];
}

/** What a journal says to somebody who has no actor for it. */
export async function journalOf(file: string): Promise<Journaled> {
  const record = await fileJournal(file)
    .load()
    .catch(() => 'unreadable' as const);
  if (record === undefined) return 'none';
  if (record === 'unreadable') return record;
  return isGone({ state: stateName(record.value) }) &&
    record.ledger.length === 0 &&
    record.outbox.length === 0
    ? 'ended'
    : 'goes on';
}

async function processes(root: string, { vmm }: SandboxDrivers): Promise<Thing[]> {
  return (await vmm.list(root))
    .filter(({ sandboxId }) => isSandboxId(sandboxId))
    .map((vm) => ({
      level: 'process',
      kind: 'vmm',
      vm,
      sandboxId: vm.sandboxId,
      name: `pid ${vm.pid}`,
      key: `process ${vm.pid} ${vm.startTicks}`,
    }));
}

async function devices(root: string, { disk }: SandboxDrivers): Promise<Thing[]> {
  return (await disk.list(root)).map((device) => ({
    level: device.kind,
    kind: 'disk',
    device,
    sandboxId: device.sandboxId,
    name: device.name,
    key: `${device.kind} ${device.name} ${device.sandboxId}`,
  }));
}

async function slots({ network }: SandboxDrivers): Promise<Thing[]> {
  return (await network.list()).flatMap(({ slot, holder }) =>
    holder === undefined || !isSandboxId(holder)
      ? []
      : [
          {
            level: 'slot',
            kind: 'slot',
            sandboxId: holder,
            name: slot.namespace,
            key: `slot ${slot.number} ${holder}`,
          },
        ],
  );
}

async function files(root: string, { pathsOf }: SandboxDrivers): Promise<Thing[]> {
  const things: Thing[] = [];
  for (const sandboxId of (await readdir(root).catch(() => [])).filter(isSandboxId)) {
    const folder = pathsOf(sandboxId).root;
    for (const name of await readdir(folder).catch(() => [])) {
      const what = { sandboxId, name: `${sandboxId}/${name}`, key: `files ${sandboxId}/${name}` };
      if (name === 'live' || name === 'snapshot') things.push({ level: 'files', kind: name, ...what });
      if (name.startsWith('trash-'))
        things.push({ level: 'trash', kind: undefined, path: path.join(folder, name), ...what });
      if (name.endsWith('.tmp'))
        things.push({ level: 'half-written', kind: undefined, path: path.join(folder, name), ...what });
    }
    // After what is in it.
    things.push({ level: 'folder', kind: undefined, sandboxId, name: sandboxId, key: `folder ${sandboxId}` });
  }
  return things;
}

function judge(
  thing: Thing,
  keeper: Sandbox | 'under way' | undefined,
  journaled: ReadonlyMap<string, Journaled>,
): Unowned[] {
  if (keeper === 'under way') return [];
  if (thing.level === 'device' && thing.device.temporary)
    return thing.device.isUsed
      ? []
      : [{ thing, how: 'clear', why: `${whatOf(thing)}, left of a copy of it that was made.` }];
  // A write of its actor's; one that fails removes it.
  if (thing.level === 'half-written') return [];
  if (keeper === undefined) return judgeUnkept(thing, journaled.get(thing.sandboxId));
  if (thing.level === 'folder') return [];
  if (thing.level === 'trash')
    return [{ thing, how: 'clear', why: 'It is a snapshot that was resumed from.' }];
  const { actor } = keeper;
  const standing = standingOf(thing, actor);
  if (standing === 'held') return [];
  const isSecond = thing.kind === 'vmm' && actor.record.ledger.some(({ kind }) => kind === 'vmm');
  const why = `${whatOf(thing)}, whose ledger ${isSecond ? `names another one, pid ${actor.context.vm?.pid}` : 'does not name it'}.`;
  if (standing === 'spare') return [{ thing, how: 'tidy', why }];
  return [
    { thing, how: actor.hasTag('rest') ? 'leave' : 'wait', why: `${why} The sandbox is ${actor.state}.` },
  ];
}

function judgeUnkept(thing: Thing, journaled: Journaled = 'none'): Unowned[] {
  // Its folder tells of it.
  if (thing.level === 'files' || thing.level === 'trash') return [];
  switch (journaled) {
    case 'unreadable':
      return [{ thing, how: 'leave', why: `${whatOf(thing)}, whose journal cannot be read.` }];
    case 'goes on':
      return [{ thing, how: 'leave', why: `${whatOf(thing)}, whose actor is stopped.` }];
    case 'ended':
      return [{ thing, how: 'clear', why: `${whatOf(thing)}, which has ended.` }];
    case 'none':
      return [{ thing, how: 'clear', why: `${whatOf(thing)}, which is not there: it has no journal.` }];
  }
}

function whatOf(thing: Thing): string {
  const { sandboxId } = thing;
  switch (thing.level) {
    case 'process':
      return `It is a virtual machine of ${sandboxId}`;
    case 'slot':
      return `It is held for ${sandboxId}`;
    case 'device':
    case 'loop':
      return thing.device.withoutTable
        ? `It is a device without a table, made for a disk of ${sandboxId}`
        : `It is part of a disk of ${sandboxId}`;
    default:
      return `It belongs to ${sandboxId}`;
  }
}
