import path from 'node:path';
import { syncPath } from '../../durable-file.ts';
import { messageOf } from '../../errors/index.ts';
import { newCommandId, newSandboxId, PLATFORM_TEAM_ID } from '../../ids.ts';
import { MEMORY_FILE } from '../../paths.ts';
import type { KernelFiles } from '../sandbox/context.ts';
import type { SandboxDrivers } from '../sandbox/drivers.ts';
import { markSynced } from '../sandbox/snapshot-meta.ts';
import type { ActorPorts } from '../system/ports.ts';
import { newIdentity } from './identity.ts';
import type { Sandboxes } from './sandboxes.ts';
import type { Shape, Templates } from './templates.ts';

/** Size of the disk of a saved machine, in MiB: what is created without a wish for another size is a clone of it. */
export const WARM_DISK_MB = 20_480;
/** Saved machines that are kept of one template: each takes tens of megabytes. Further shapes are booted. */
const SHAPES_MAX = 16;
/** How long making one may take, in milliseconds. */
const MAKE_LIMIT_MS = 180_000;

/**
 * Makes saved machines: boots a template once, pauses it, and keeps the snapshot, so that the next create of that shape
 * is a clone instead of a boot. It is done by an internal sandbox, through the same machine and with the same ledger as
 * every other one.
 */
export class WarmMaker {
  readonly #wanted = new Map<string, Promise<void>>();
  readonly #parts: {
    templates: Templates;
    sandboxes: Sandboxes;
    drivers: SandboxDrivers;
    ports: ActorPorts;
    hostId: string;
    kernel: KernelFiles;
  };
  /** One at a time: a boot takes a processor for seconds. */
  #last: Promise<unknown> = Promise.resolve();
  #stopped = false;

  constructor(parts: {
    templates: Templates;
    sandboxes: Sandboxes;
    drivers: SandboxDrivers;
    ports: ActorPorts;
    hostId: string;
    kernel: KernelFiles;
  }) {
    this.#parts = parts;
  }

  /** Resolves when the template has a saved machine of that shape, or when making one failed (which is logged). */
  want(name: string, shape: Shape): Promise<void> {
    const key = `${name} ${shape.vcpus}x${shape.memoryMb}`;
    const { templates } = this.#parts;
    if (templates.hasWarm(name, shape) || templates.warmCount(name) >= SHAPES_MAX) return Promise.resolve();
    const before = this.#wanted.get(key);
    if (before) return before;
    const made = this.#last
      .then(() => (this.#stopped ? undefined : this.#make(name, shape)))
      .catch((error: unknown) =>
        this.#parts.ports.log.warn(
          { template: name, ...shape, err: messageOf(error) },
          'no saved machine was made; sandboxes of this shape are booted',
        ),
      )
      .finally(() => this.#wanted.delete(key));
    this.#wanted.set(key, made);
    this.#last = made;
    return made;
  }

  /** Begins no further ones and waits for the one that is being made. */
  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#last;
  }

  async #make(name: string, shape: Shape): Promise<void> {
    const { templates, sandboxes, drivers, ports, hostId, kernel } = this.#parts;
    const { clock, log } = ports;
    const template = templates.get(name);
    const id = newSandboxId();
    const started = clock.monotonicMs();
    const context = () => ({
      commandId: newCommandId(),
      deadlineMs: clock.nowMs() + MAKE_LIMIT_MS,
      signal: AbortSignal.timeout(MAKE_LIMIT_MS),
    });
    const first = context();
    const diskSizeMb = Math.max(WARM_DISK_MB, template.sizeMb);
    const sandbox = await sandboxes.create({
      id,
      teamId: PLATFORM_TEAM_ID,
      hostId,
      createdAtMs: clock.nowMs(),
      options: {
        template: name,
        vcpus: shape.vcpus,
        memory_mb: shape.memoryMb,
        disk_size_mb: diskSizeMb,
        timeout_s: 0,
        on_timeout: 'destroy',
        auto_resume: false,
        metadata: {},
      },
      source: { kind: 'image', imagePath: template.imagePath },
      kernel,
      ...newIdentity(),
      command: { id: first.commandId, name: 'create', deadlineMs: first.deadlineMs },
    });
    await sandbox.actor.outcome(first);
    try {
      // What a first exec touches is then in the saved memory, and not read and translated anew in every clone.
      for (let round = 0; round < 3; round += 1)
        await sandbox.exec({ argv: ['/bin/sh', '-c', 'sync'] }, context());
      await sandbox.command('pause', {}, context());
      const { snapshot } = drivers.pathsOf(id);
      // A clone of a file waits until its dirty pages are written; here nobody waits yet.
      await syncPath(path.join(snapshot, MEMORY_FILE));
      await markSynced(snapshot);
      await templates.keepWarm(name, shape, diskSizeMb, snapshot);
    } finally {
      await sandbox.command('destroy', {}, context());
    }
    log.info(
      { template: name, ...shape, ms: Math.round(clock.monotonicMs() - started) },
      'saved machine made',
    );
  }
}
