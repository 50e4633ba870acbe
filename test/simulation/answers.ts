import { mayBeRead, type Operation } from './history.ts';
import type { Scenario } from './scenarios.ts';
import type { Simulation } from './simulation.ts';

/** What clients were told, against what is: nothing that was answered with success is lost (invariants 4 and 5). */

/** Where a command that succeeded leads to. */
const LEADS_TO: Partial<Record<Operation['verb'], string>> = {
  create: 'running',
  resume: 'running',
  restart: 'running',
  pause: 'paused',
  destroy: 'gone',
};

/** What every read that a client was answered must have found. */
export function checkReads({ world, history }: Simulation): void {
  for (const id of history.sandboxes()) {
    const writes = history.of(id).filter(({ verb }) => verb === 'write');
    for (const { read, began } of history.of(id)) {
      if (!read) continue;
      if (!mayBeRead(visibleAt(writes, began), read.disk, 0))
        world.violate(`${id} has ${read.disk} on its disk, and ${shown(writes)} was written`);
      // Memory is lost with the machine only.
      const lostAt = world.machines.lostAt(id);
      const since = world.machines.bootedAt(id);
      if (lostAt === undefined && began >= since && !mayBeRead(visibleAt(writes, began), read.memory, since))
        world.violate(`${id} has ${read.memory} in its memory, and ${shown(writes)} was written`);
    }
    const created = history.of(id).find(({ verb }) => verb === 'create');
    const bootedAt = world.machines.bootedAt(id);
    if (
      created?.succeeded &&
      bootedAt > created.ended &&
      !history.of(id).some(({ verb, began }) => verb === 'restart' && began <= bootedAt)
    )
      world.violate(`${id} booted again, and nobody had asked for it`);
    const values = writes.map(({ value }) => value ?? 0);
    for (const value of values)
      if ((world.writes.get(`${id} ${value}`) ?? 0) > 1 && world.machines.lostAt(id) === undefined)
        world.violate(`the program of ${id} that wrote ${value} ran twice`);
  }
}

/** Writes as they were when a read began: what succeeded later may be seen or not. */
function visibleAt(writes: readonly Operation[], readAt: number): Operation[] {
  return writes.map((write) =>
    write.succeeded && write.ended > readAt
      ? { ...write, succeeded: false, ended: Number.POSITIVE_INFINITY }
      : write,
  );
}

/** The sandbox is what the last command that succeeded made it, unless something else was under way since. */
export function checkLastCommand(simulation: Simulation): void {
  const { world, history, agent } = simulation;
  for (const id of history.sandboxes()) {
    const commands = history.of(id).filter(({ verb }) => LEADS_TO[verb]);
    const last = commands.filter(({ succeeded }) => succeeded).at(-1);
    if (!last) continue;
    const others = commands.filter((other) => other !== last && other.ended > last.began);
    const state =
      agent?.host
        .sandboxes()
        .find((sandbox) => sandbox.id === id)
        ?.actor.state.split('.')[0] ?? 'gone';
    if (history.of(id).some(({ verb, succeeded }) => verb === 'destroy' && succeeded) && state !== 'gone')
      world.violate(`(5) ${id} was destroyed, and is ${state}`);
    const isEnding = history.of(id).some(({ verb }) => verb === 'destroy');
    const isTimed = history.of(id).some(({ view }) => (view?.timeout_s ?? 0) > 0);
    if (state === 'gone' && !isEnding && !isTimed) world.violate(`(5) ${id} was made, and is gone`);
    if (others.length > 0 || isTimed || world.machines.lostAt(id) !== undefined) continue;
    if (state !== LEADS_TO[last.verb])
      world.violate(`(5) ${last.verb} of ${id} succeeded, and it is ${state}`);
  }
}

/** A disk that was made larger is. */
export function checkSizes({ world, history, agent }: Simulation): void {
  for (const { id, context } of agent?.host.sandboxes() ?? [])
    for (const { verb, succeeded, view } of history.of(id)) {
      if (verb !== 'resize' || !succeeded || !view) continue;
      const { disk_size_mb } = context.options;
      if (disk_size_mb < view.disk_size_mb)
        world.violate(`(5) the disk of ${id} was made ${view.disk_size_mb} MiB, and has ${disk_size_mb}`);
    }
}

function shown(writes: readonly Operation[]): string {
  return writes
    .map(({ value, began, ended, succeeded }) => `${value}${succeeded ? '' : '?'} (${began}-${ended})`)
    .join(', ');
}

/** Kinds of faults that sending a command again makes up for. */
const MADE_UP_FOR = ['message', 'stream', 'record'];

/** Errors that no client is ever to see: each says that something is wrong with us. */
const OUR_FAULT = ['IDEMPOTENCY_KEY_REUSED', 'INTERNAL', 'BAD_REPLY', 'GUEST_REFUSED'];

/** A command succeeds, and once, whatever becomes of messages and of the servers between its client and the host. */
export function checkDelivery({ world, history }: Simulation, scenario: Scenario): void {
  for (const { verb, sandboxId, error } of history.operations)
    if (error && OUR_FAULT.includes(error)) world.violate(`${verb} of ${sandboxId} was answered ${error}`);
  if (!scenario.isOrderly || world.faults.hits.some((hit) => !MADE_UP_FOR.includes(hit.class))) return;
  for (const { verb, sandboxId, succeeded, error } of history.operations)
    if (!succeeded)
      world.violate(`(5) ${verb} of ${sandboxId} was not done, with ${error}, and nothing befell its host`);
}
