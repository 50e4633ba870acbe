import { mayBeRead, type Operation } from './history.ts';
import { teamTemplates } from './invariants.ts';
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
export function checkReads(simulation: Simulation): void {
  const { world, history } = simulation;
  for (const id of history.sandboxes()) {
    for (const read of history.of(id)) {
      const copies = history.copiesBegun(id);
      const wrong = (copies.length > 0 ? copies : [undefined]).map((copy) =>
        wrongRead(simulation, read, copy),
      );
      if (wrong[0] && wrong.every(Boolean)) world.violate(wrong[0]);
    }
    const created = history.of(id).find(({ verb }) => verb === 'create');
    const bootedAt = world.machines.bootedAt(id);
    if (
      created?.succeeded &&
      bootedAt > created.ended &&
      !history.of(id).some(({ verb, began }) => verb === 'restart' && began <= bootedAt)
    )
      world.violate(`${id} booted again, and nobody had asked for it`);
    const writes = history.of(id).filter(({ verb }) => verb === 'write');
    for (const { value = 0 } of writes)
      if ((world.writes.get(`${id} ${value}`) ?? 0) > 1 && world.machines.lostAt(id) === undefined)
        world.violate(`the program of ${id} that wrote ${value} ran twice`);
  }
}

/** What is wrong with what was read in a sandbox, if it began as that copy. */
function wrongRead(
  { world, history }: Simulation,
  { sandboxId: id, read, began }: Operation,
  copy: Operation | undefined,
): string | undefined {
  if (!read) return undefined;
  const onDisk = history.writesIn(id, 'disk', copy);
  if (!mayBeRead(visibleAt(onDisk, began), read.disk, 0))
    return `${id} has ${read.disk} on its disk, and ${shown(onDisk)} was written`;
  // Memory is lost with the machine only.
  const since = world.machines.bootedAt(id);
  if (world.machines.lostAt(id) !== undefined || began < since) return undefined;
  const inMemory = history.writesIn(id, 'memory', copy);
  if (mayBeRead(visibleAt(inMemory, began), read.memory, since)) return undefined;
  return `${id} has ${read.memory} in its memory, and ${shown(inMemory)} was written`;
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

/** A create or fork that was answered with an error has made nothing. */
export function checkRefused({ world, history, agent }: Simulation): void {
  for (const { verb, sandboxId, succeeded, ended, error } of history.operations)
    if (verb === 'create' && !succeeded && ended < Number.POSITIVE_INFINITY)
      if (agent?.host.sandboxes().some(({ id }) => id === sandboxId))
        world.violate(`(5) ${sandboxId} was to be made, which was answered ${error}, and is there`);
}

/** Snapshots are there as the last that was answered says, unless nobody knows what became of another one. */
export function checkTemplates({ world, history }: Simulation): void {
  const there = teamTemplates(world).map(({ name }) => name);
  for (const name of new Set(history.operations.flatMap(({ template }) => template ?? []))) {
    const about = history.operations.filter(({ template }) => template === name);
    const last = about.findLast(({ succeeded }) => succeeded);
    const isCertain = about.every(
      ({ verb, began, ended, succeeded }) =>
        succeeded ||
        (ended < Number.POSITIVE_INFINITY && (verb === 'snapshot' || began < (last?.began ?? 0))),
    );
    const [isThere, isToBe] = [there.includes(name), last?.verb === 'snapshot'];
    if (isCertain && isThere !== isToBe)
      world.violate(
        `(5) the snapshot ${name} is ${isThere ? '' : 'not '}there; ${last?.verb ?? 'nothing'} succeeded last`,
      );
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
  for (const { verb, template, refusal, succeeded } of history.operations)
    if (refusal && succeeded) world.violate(`(5) ${verb} of ${template} was to be refused with ${refusal}`);
  for (const { verb, sandboxId, error } of history.operations)
    if (error && OUR_FAULT.includes(error)) world.violate(`${verb} of ${sandboxId} was answered ${error}`);
  if (!scenario.isOrderly || world.faults.hits.some((hit) => !MADE_UP_FOR.includes(hit.class))) return;
  for (const { verb, sandboxId, template, succeeded, error, refusal } of history.operations)
    if (!succeeded && (refusal === undefined || error !== refusal))
      world.violate(
        `(5) ${verb} of ${template ?? sandboxId} was not done, with ${error}, and nothing befell its host`,
      );
}
