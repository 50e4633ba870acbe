import { DormouseError, hasCode } from '../../errors/index.ts';
import { newCommandId } from '../../ids.ts';
import type { SandboxDrivers } from '../sandbox/drivers.ts';
import type { ForkReply, ForkRequest, SandboxView } from '../sandbox/protocol.ts';
import type { Sandbox } from '../sandbox/sandbox.ts';
import type { CommandContext } from '../system/command.ts';
import type { ActorPorts } from '../system/ports.ts';
import type { Room } from './capacity.ts';
import type { Captures } from './captures.ts';
import { newIdentity } from './identity.ts';
import type { Once } from './once.ts';
import type { Sandboxes } from './sandboxes.ts';
import { readSaved, type SavedMachine } from './template.ts';

export interface ForkParts {
  sandboxes: Pick<Sandboxes, 'get' | 'checkNew' | 'create' | 'discard'>;
  captures: Pick<Captures, 'take'>;
  drivers: Pick<SandboxDrivers, 'checkSpace'>;
  room: Pick<Room, 'keep'>;
  once: Once;
  ports: ActorPorts;
  hostId: string;
}

/** Forks that are on their way at the same time: on two processors, four took less time for eight than two or three did. */
const AT_A_TIME = 4;

/**
 * Makes copies of a running or paused sandbox that run, from one capture of it. Each is a sandbox like every other, with an identity of
 * its own; options and defaults are the original's, and its timeout begins anew. All of them are made, or none: when one fails the
 * others are destroyed. Those that an earlier try made are answered for.
 *
 * @throws `SANDBOX_WRONG_STATE`, `NO_HOST_AVAILABLE`, `INVALID_SIZE`, `DISK_FULL`, `SANDBOX_NOT_FOUND` for an id that another team
 * has or whose fork has ended, `IDEMPOTENCY_KEY_REUSED`; the first error of those that failed
 */
export async function forkSandbox(
  original: Sandbox,
  request: ForkRequest,
  context: CommandContext,
  parts: ForkParts,
): Promise<ForkReply> {
  return await parts.once.run('fork', { sandbox: original.id, ...request }, context, async () => {
    const forks = await findForks(request.ids, original, context, parts);
    const missing = request.ids.filter((id) => !forks.has(id));
    if (missing.length > 0) {
      try {
        for (const fork of await makeMissing(original, missing, context, parts)) forks.set(fork.id, fork);
      } catch (error) {
        // Some were missing, so an earlier try was never answered: what it had made is of no use to anybody.
        await discardAll(forks.values(), parts);
        throw error;
      }
    }
    return { sandboxes: request.ids.flatMap((id): SandboxView[] => viewsOf(forks.get(id))) };
  });
}

const viewsOf = (fork: Sandbox | undefined): SandboxView[] => (fork ? [fork.view()] : []);

const discardAll = async (forks: Iterable<Sandbox>, { sandboxes }: ForkParts): Promise<void> =>
  void (await Promise.allSettled([...forks].map((fork) => sandboxes.discard(fork))));

/**
 * The forks that an earlier try began, by id. When one of them failed the others are destroyed: the agent may have died in
 * the middle, and then nobody else does that. Not when one was destroyed, since then they may have been answered for, and in use;
 * nor when the caller goes away, who may ask again.
 */
async function findForks(
  ids: readonly string[],
  original: Sandbox,
  context: CommandContext,
  parts: ForkParts,
): Promise<Map<string, Sandbox>> {
  const forks = new Map<string, Sandbox>();
  const failures: unknown[] = [];
  for (const id of ids) {
    try {
      const there = await findFork(id, original, context, parts);
      if (there) forks.set(id, there);
    } catch (error) {
      failures.push(error);
    }
  }
  if (failures.length === 0) return forks;
  if (!context.signal.aborted && !failures.some((error) => hasCode(error, 'SANDBOX_NOT_FOUND')))
    await discardAll(forks.values(), parts);
  throw failures[0];
}

/** The fork of that id that an earlier try began; undefined when there is none. Throws why it failed, or what became of it. */
async function findFork(
  id: string,
  original: Sandbox,
  { signal }: CommandContext,
  { sandboxes }: ForkParts,
): Promise<Sandbox | undefined> {
  const there = await sandboxes.get(id);
  if (!there) {
    sandboxes.checkNew(id);
    return undefined;
  }
  if (there.context.teamId !== original.context.teamId || id === original.id)
    throw new DormouseError('SANDBOX_NOT_FOUND', `The id ${id} is taken. Fork again with other ids.`);
  await there.actor.until(() => there.actor.hasTag('rest') || there.actor.isDone, signal);
  if (!there.actor.isDone) return there;
  const { lastError } = there.context;
  // One that was made and destroyed may have an error of its later life.
  if (lastError && there.actor.state === 'failed') throw DormouseError.fromRecord(lastError);
  throw new DormouseError('SANDBOX_NOT_FOUND', `The fork ${id} was made and has been destroyed.`);
}

/** Makes the forks with these ids from a new capture. */
async function makeMissing(
  original: Sandbox,
  ids: readonly string[],
  context: CommandContext,
  parts: ForkParts,
): Promise<Sandbox[]> {
  await parts.drivers.checkSpace();
  const begun = parts.room.keep(original.context.options, ids.length);
  try {
    return await parts.captures.take(original, { memory: true }, context, async (capture) => {
      const saved = await readSaved(capture);
      return await makeForks(original, ids, { saved, begun }, context, parts);
    });
  } finally {
    for (const _ of ids) begun();
  }
}

/** Makes forks with these ids, a few at a time; when one fails no further ones are begun, and all are destroyed again. */
async function makeForks(
  original: Sandbox,
  ids: readonly string[],
  from: { saved: SavedMachine; begun(): void },
  context: CommandContext,
  parts: ForkParts,
): Promise<Sandbox[]> {
  const made: Sandbox[] = [];
  const failures: unknown[] = [];
  const left = [...ids];
  const makeSome = async (): Promise<void> => {
    for (let id = left.shift(); id !== undefined && failures.length === 0; id = left.shift()) {
      try {
        const fork = await begin(original, id, from, context, parts);
        made.push(fork.sandbox);
        await fork.runs;
      } catch (error) {
        failures.push(error);
      }
    }
  };
  await Promise.all(Array.from({ length: AT_A_TIME }, makeSome));
  if (failures.length === 0) return made;
  // Also when the caller went away: an undo has a time of its own.
  await discardAll(made, parts);
  throw failures[0];
}

/** Begins one fork. It is on its way on return, and counted; `runs` settles with its create. */
async function begin(
  original: Sandbox,
  id: string,
  { saved, begun }: { saved: SavedMachine; begun(): void },
  context: CommandContext,
  { sandboxes, hostId, ports }: ForkParts,
): Promise<{ sandbox: Sandbox; runs: Promise<unknown> }> {
  // Not begun once it was cancelled: whoever cancelled it may have taken its record back.
  context.signal.throwIfAborted();
  const { teamId, options, defaults } = original.context;
  const commandId = newCommandId();
  const sandbox = await sandboxes.create({
    id,
    teamId,
    hostId,
    options: structuredClone(options),
    createdAtMs: ports.clock.nowMs(),
    source: { kind: 'snapshot', dir: saved.dir },
    kernel: saved.kernel,
    ...(defaults && { defaults: structuredClone(defaults) }),
    ...newIdentity(),
    command: { id: commandId, name: 'create', deadlineMs: context.deadlineMs },
  });
  begun();
  const runs = Promise.resolve(sandbox.actor.outcome({ ...context, commandId }));
  // Its end is waited for by whoever began it; until then nobody listens.
  runs.catch(() => {});
  return { sandbox, runs };
}
