import { DormouseError } from '../../errors/index.ts';
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
    const forks = new Map<string, Sandbox>();
    for (const id of request.ids) {
      const there = await findFork(id, original, context, parts);
      if (there) forks.set(id, there);
    }
    const missing = request.ids.filter((id) => !forks.has(id));
    if (missing.length > 0) {
      await parts.drivers.checkSpace();
      const begun = parts.room.keep(original.context.options, missing.length);
      try {
        await parts.captures.take(original, { memory: true }, context, async (capture) => {
          const saved = await readSaved(capture);
          for (const fork of await makeForks(original, missing, { saved, begun }, context, parts))
            forks.set(fork.id, fork);
        });
      } finally {
        for (const _ of missing) begun();
      }
    }
    return { sandboxes: request.ids.flatMap((id): SandboxView[] => viewsOf(forks.get(id))) };
  });
}

const viewsOf = (fork: Sandbox | undefined): SandboxView[] => (fork ? [fork.view()] : []);

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
  if (lastError) throw DormouseError.fromRecord(lastError);
  throw new DormouseError('SANDBOX_NOT_FOUND', `The fork ${id} was made and has been destroyed.`);
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
  await Promise.allSettled(made.map((fork) => parts.sandboxes.discard(fork)));
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
