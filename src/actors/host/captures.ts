import { readdir, rm } from 'node:fs/promises';
import path from 'node:path';
import { within } from '../../clock.ts';
import { makeFolder } from '../../durable-file.ts';
import { messageOf } from '../../errors/index.ts';
import { newCaptureId, newCommandId } from '../../ids.ts';
import type { Sandbox } from '../sandbox/sandbox.ts';
import type { CommandContext } from '../system/command.ts';
import type { ActorPorts } from '../system/ports.ts';

/** How long a capture that failed may go on writing, in milliseconds, until its folder is removed all the same. */
const END_LIMIT_MS = 60_000;

/**
 * Consistent copies of sandboxes, each in a folder of its own, for as long as something is made from them. The sandbox makes the
 * copy, between two instants of its guest; the host removes it.
 */
export class Captures {
  readonly #root: string;
  readonly #ports: ActorPorts;
  readonly #held = new Set<string>();

  /** @param root folder of the captures */
  constructor(root: string, ports: ActorPorts) {
    this.#root = root;
    this.#ports = ports;
  }

  /** Removes what an earlier agent left. A sandbox that is in the middle of a capture makes its folder again. @returns how many */
  async begin(): Promise<number> {
    const left = await readdir(this.#root).catch((): string[] => []);
    for (const name of left) await rm(path.join(this.#root, name), { recursive: true, force: true });
    return left.length;
  }

  /**
   * Takes a copy of the sandbox, lends its folder, and removes it in the end, whatever happens.
   *
   * @param memory whether the memory is copied, too, so that the folder can be loaded
   * @throws what the sandbox's `capture` throws: `SANDBOX_WRONG_STATE`, `DISK_FULL` and others; what `use` throws
   */
  async take<T>(
    sandbox: Sandbox,
    { memory }: { memory: boolean },
    context: CommandContext,
    use: (dir: string) => Promise<T>,
  ): Promise<T> {
    const id = newCaptureId();
    const dir = path.join(this.#root, id);
    this.#held.add(id);
    try {
      await makeFolder(this.#root);
      // The command that wants the copy may come again; each copy is another one.
      await sandbox.command('capture', { dir, memory }, { ...context, commandId: newCommandId() });
      return await use(dir);
    } finally {
      await this.#remove(sandbox, dir);
      this.#held.delete(id);
    }
  }

  /**
   * Names of captures that nobody uses.
   *
   * @param sandboxes those of the host: one that is capturing has a folder, also when the agent that wanted it died
   */
  async strays(sandboxes: readonly Sandbox[]): Promise<string[]> {
    const names = await readdir(this.#root).catch((): string[] => []);
    const busy = sandboxes
      .filter(({ actor }) => actor.state.startsWith('capturing'))
      .map(({ context }) => path.basename(context.capture?.dir ?? ''));
    return names.filter((name) => !this.#held.has(name) && !busy.includes(name));
  }

  async removeStray(name: string): Promise<void> {
    await rm(path.join(this.#root, name), { recursive: true, force: true });
  }

  /** A caller that went away does not wait for the sandbox, which may be copying still. What cannot be removed is a stray. */
  async #remove(sandbox: Sandbox, dir: string): Promise<void> {
    const { clock, log } = this.#ports;
    try {
      await within(clock, END_LIMIT_MS, (signal) =>
        sandbox.actor.until(
          () =>
            sandbox.actor.isDone ||
            !sandbox.actor.state.startsWith('capturing') ||
            sandbox.context.capture?.dir !== dir,
          signal,
        ),
      ).catch(() => {});
      await rm(dir, { recursive: true, force: true });
    } catch (error) {
      log.warn({ sandbox: sandbox.id, dir, err: messageOf(error) }, 'a capture could not be removed yet');
    }
  }
}
