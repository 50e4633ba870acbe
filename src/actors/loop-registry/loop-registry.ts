import { realpath } from 'node:fs/promises';
import path from 'node:path';
import { within } from '../../clock.ts';
import type { Exclusive } from '../../drivers/disk/types.ts';
import { DormouseError } from '../../errors/index.ts';
import { Actor } from '../system/actor.ts';
import type { CommandContext, ReplyOf } from '../system/command.ts';
import type { Inspector } from '../system/inspect.ts';
import type { Inspection } from '../system/inspection.ts';
import { volatileJournal } from '../system/journal.ts';
import type { ActorPorts } from '../system/ports.ts';
import { REGISTRY_MACHINE_COMMANDS, registryInspection } from './inspect.ts';
import { loopRegistryMachine, type RegistryContext } from './machine.ts';
import type { LoopEntry, loopRegistryCommands } from './protocol.ts';
import { entryOf, type LoopLeak } from './registry.ts';
import { loopRegistrySteps } from './steps.ts';
import { type AskUsers, kernelUsers } from './users.ts';

export interface LoopRegistryOptions {
  hostId: string;
  /** Folder of the images, which exists. Loops of files below it are ours, all others are left alone. */
  folder: string;
  /** The host's lane: every loop operation runs in it. */
  lane: Exclusive;
  /** Which devices stand on loop devices; the kernel is asked when absent. */
  users?: AskUsers;
  mailboxSize: number;
  /** Takes what happens to it, for those who look on. */
  inspector?: Inspector;
  ports: ActorPorts;
}

const START_LIMIT_MS = 60_000;

/**
 * The loop-registry actor: one read-only loop device for each image in use, kept as long as somebody holds it. It keeps
 * no journal: its truth is the kernel's state, from which it is rebuilt on each start.
 */
export class LoopRegistry {
  readonly #folder: string;
  readonly #actor: Actor<RegistryContext>;

  private constructor(folder: string, actor: Actor<RegistryContext>) {
    this.#folder = folder;
    this.#actor = actor;
  }

  /**
   * Starts the registry from what the kernel shows: loops of ours that a device stands on are held by it, others are
   * detached. Ready on return. Throws `LOOP_FAILED`, `DEPENDENCY_MISSING`.
   */
  static async start(options: LoopRegistryOptions): Promise<LoopRegistry> {
    const { hostId, lane, mailboxSize, ports } = options;
    const users = options.users ?? kernelUsers;
    const folder = await realpath(options.folder);
    const actor = await Actor.start<RegistryContext>(
      {
        kind: 'loop-registry',
        id: hostId,
        machine: loopRegistryMachine,
        steps: loopRegistrySteps({ folder, lane, users, newUsers: options.users, clock: ports.clock }),
        journal: volatileJournal,
        ports: { ...ports, log: ports.log.child({ host: hostId, actor: 'loop-registry' }) },
        mailboxSize,
        commands: REGISTRY_MACHINE_COMMANDS,
        inspected: (occurrence) =>
          options.inspector?.happened({ kind: 'loop-registry', hostId }, () =>
            registryInspection(occurrence, hostId),
          ),
        whenBusy: 'wait',
        view: (record) => record.context.reply,
      },
      undefined,
    );
    try {
      await within(ports.clock, START_LIMIT_MS, (signal) =>
        actor.until(() => actor.state === 'ready' || actor.isDone, signal),
      );
    } catch (cause) {
      await actor.stop();
      throw new DormouseError(
        'LOOP_FAILED',
        `The loop devices of this machine were not looked through after ${START_LIMIT_MS / 1000} s. See whether "losetup --list" answers, and what "dmesg" says.`,
        { cause },
      );
    }
    if (actor.context.error && actor.isDone) {
      await actor.stop();
      throw DormouseError.fromRecord(actor.context.error);
    }
    return new LoopRegistry(folder, actor);
  }

  get id(): string {
    return this.#actor.id;
  }

  /** What it is in the middle of now, and what led there. */
  inspection(): Inspection {
    return registryInspection(this.#actor.present(), this.id);
  }

  /**
   * Makes sure that the image has a read-only loop device and that `holder` holds it. A holder that holds one already
   * gets the same again, also when the image was replaced since; others then get a loop of the new file.
   *
   * @throws `INVALID_REQUEST` for an image outside the folder, `LOOP_FAILED`, `DEVICE_BUSY`, `DEPENDENCY_MISSING`; then
   * nothing is held
   */
  async acquire(image: string, holder: string, context: CommandContext): Promise<LoopEntry> {
    const real = await realpath(image).catch((cause: unknown) => {
      throw new DormouseError('LOOP_FAILED', `The image ${image} cannot be read.`, {
        data: { image },
        cause,
      });
    });
    if (!real.startsWith(`${this.#folder}/`))
      throw new DormouseError('INVALID_REQUEST', `The image ${image} is not in the folder of images.`, {
        data: { image, folder: this.#folder },
      });
    return (await this.#actor.ask('acquire', { image: real, holder }, context)) as LoopEntry;
  }

  /**
   * Takes the holder off the image. The loop device goes with the last one: `detached` says whether it is gone. When it
   * is not although no holder is left, somebody holds it open or it could not be detached; `leaks` tells, and it is
   * tried again.
   *
   * @throws `LOOP_NOT_HELD` when the holder does not hold it, also when it was released before; `DEVICE_BUSY` when the
   * holder is a device that still stands on the loop (it holds it as before); `LOOP_FAILED` when the kernel could not be
   * asked (the holder is off, the loop is tried again)
   */
  async release(
    image: string,
    holder: string,
    context: CommandContext,
  ): Promise<ReplyOf<typeof loopRegistryCommands.release>> {
    const reply = await this.#actor.ask('release', { image: await this.#pathOf(image), holder }, context);
    return reply as ReplyOf<typeof loopRegistryCommands.release>;
  }

  /** The loops of this host and their holders, as they were at the last look. */
  list(): LoopEntry[] {
    return this.#actor.context.loops.map(entryOf);
  }

  /** Looks at the kernel and says which loops of ours are there for nobody's sake. Throws `LOOP_FAILED`. */
  async leaks(context: CommandContext): Promise<LoopLeak[]> {
    return ((await this.#actor.ask('leaks', {}, context)) as { leaks: LoopLeak[] }).leaks;
  }

  /** Stops the actor. Loops stay as they are: what stands on them goes on. */
  async stop(): Promise<void> {
    await this.#actor.stop();
  }

  /** The path that an image is known by. An image that has been deleted has no real path; its folder has. */
  async #pathOf(image: string): Promise<string> {
    const folder = await realpath(path.dirname(image)).catch(() => path.resolve(path.dirname(image)));
    return await realpath(image).catch(() => path.join(folder, path.basename(image)));
  }
}
