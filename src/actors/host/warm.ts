import path from 'node:path';
import { within } from '../../clock.ts';
import { syncPath } from '../../durable-file.ts';
import { DormouseError, messageOf } from '../../errors/index.ts';
import { newCommandId, newSandboxId, PLATFORM_TEAM_ID } from '../../ids.ts';
import { MEMORY_FILE } from '../../paths.ts';
import type { KernelFiles } from '../sandbox/context.ts';
import type { SandboxDrivers } from '../sandbox/drivers.ts';
import type { Sandbox } from '../sandbox/sandbox.ts';
import { markSynced } from '../sandbox/snapshot-meta.ts';
import type { ActorPorts } from '../system/ports.ts';
import { newIdentity } from './identity.ts';
import type { Sandboxes } from './sandboxes.ts';
import { defaultsOf, type Shape, shapeKey, type Template, warmDiskMb } from './template.ts';
import { runTemplateCommands } from './template-commands.ts';
import type { Templates } from './templates.ts';

/** Booted states that are kept of one template: each takes tens of megabytes. Further shapes are booted. */
const SHAPES_MAX = 16;
/** How long making one may take, in milliseconds. A start command has five minutes of it. */
const MAKE_LIMIT_MS = 600_000;

export interface WarmMakerOptions {
  templates: Templates;
  sandboxes: Sandboxes;
  drivers: SandboxDrivers;
  ports: ActorPorts;
  hostId: string;
  kernel: KernelFiles;
}

/** What is being done, for whoever watches a build. */
export type MakingStage = (stage: 'booting' | 'starting' | 'saving', message?: string) => void;

export interface MakeOptions {
  stage?: MakingStage;
  signal?: AbortSignal;
}

interface Making {
  template: Template;
  done: Promise<void>;
  stop: AbortController;
}

/**
 * Makes booted states: boots a template once, runs its start and ready command, pauses it, and keeps the snapshot, so that the next
 * create of that shape is a clone instead of a boot. It is done by an internal sandbox, through the same machine and with the
 * same ledger as every other one.
 */
export class WarmMaker {
  readonly #wanted = new Map<string, Making>();
  readonly #options: WarmMakerOptions;
  /** One at a time: a boot takes a processor for seconds. */
  #last: Promise<unknown> = Promise.resolve();
  readonly #stopping = new AbortController();

  constructor(options: WarmMakerOptions) {
    this.#options = options;
  }

  /** Resolves when the template has a booted state of that shape, or when making one failed (which is logged). */
  async want(template: Template, shape: Shape): Promise<void> {
    const { templates, ports } = this.#options;
    if (templates.hasWarm(template, shape) || template.warm.size >= SHAPES_MAX) return;
    await this.make(template, shape).catch((error: unknown) =>
      ports.log.warn(
        { template: template.file.name, ...shape, err: messageOf(error) },
        'no saved machine was made; sandboxes of this shape are booted',
      ),
    );
  }

  /**
   * Makes sure that the template has a booted state of that shape. Who asks while it is being made waits for it.
   *
   * @param options.stage told what is being done
   * @param options.signal ends it
   * @throws `TEMPLATE_NOT_READY`, `INVALID_SIZE` when there are too many shapes, and what the steps of creating and pausing throw;
   * nothing is left then
   */
  make(template: Template, shape: Shape, options: MakeOptions = {}): Promise<void> {
    if (this.#options.templates.hasWarm(template, shape)) return Promise.resolve();
    const key = `${template.file.id} ${shapeKey(shape)}`;
    const before = this.#wanted.get(key);
    if (before) return before.done;
    if (template.warm.size >= SHAPES_MAX) return Promise.reject(tooManyShapes(template));
    const stop = new AbortController();
    const done = this.#last
      .then(() => {
        this.#stopping.signal.throwIfAborted();
        return within(this.#options.ports.clock, MAKE_LIMIT_MS, (limit) => {
          const { stage = () => {}, signal = limit } = options;
          return this.#make(template, shape, {
            stage,
            signal: AbortSignal.any([limit, stop.signal, this.#stopping.signal, signal]),
          });
        });
      })
      .finally(() => this.#wanted.delete(key));
    this.#wanted.set(key, { template, done, stop });
    this.#last = done.catch(() => {});
    return done;
  }

  /** Ends what is being made of the template, and waits until nothing is left of it. */
  async cancel(template: Template): Promise<void> {
    const making = [...this.#wanted.values()].filter((one) => one.template.file.id === template.file.id);
    for (const { stop } of making) stop.abort(new Error('the template is removed'));
    await Promise.allSettled(making.map(({ done }) => done));
  }

  /** Begins no further ones, ends the one that is being made, and waits until nothing is left of it. */
  async stop(): Promise<void> {
    this.#stopping.abort(new DormouseError('HOST_DRAINING', 'The host stops.'));
    await this.#last;
  }

  async #make(
    template: Template,
    shape: Shape,
    { signal, stage }: { signal: AbortSignal; stage: MakingStage },
  ): Promise<void> {
    signal.throwIfAborted();
    const { templates, sandboxes, drivers, ports } = this.#options;
    const { clock, log } = ports;
    const started = clock.monotonicMs();
    const context = () => ({
      commandId: newCommandId(),
      deadlineMs: clock.nowMs() + MAKE_LIMIT_MS,
      signal,
    });
    stage('booting');
    const first = context();
    const sandbox = await this.#begin(template, shape, first);
    try {
      await sandbox.actor.outcome(first);
      // What a first exec touches is then in the saved memory, and not read and translated anew in every clone.
      for (let round = 0; round < 3; round += 1)
        await sandbox.exec({ argv: ['/bin/sh', '-c', 'sync'] }, context());
      const { start_cmd, ready_cmd } = template.file;
      if (start_cmd !== null || ready_cmd !== null) {
        stage('starting');
        const said = (message: string): void => stage('starting', message);
        await runTemplateCommands(sandbox, template.file, { clock, signal, said });
        await sandbox.exec({ argv: ['/bin/sh', '-c', 'sync'] }, context());
      }
      stage('saving');
      await sandbox.command('pause', {}, context());
      const { snapshot } = drivers.pathsOf(sandbox.id);
      // A clone of a file waits until its dirty pages are written; here nobody waits yet.
      await syncPath(path.join(snapshot, MEMORY_FILE));
      await drivers.disk.sync(snapshot);
      await markSynced(snapshot);
      await templates.keepWarm(template, shape, snapshot);
    } finally {
      await sandboxes.discard(sandbox);
    }
    log.info(
      { template: template.file.name, ...shape, ms: Math.round(clock.monotonicMs() - started) },
      'saved machine made',
    );
  }

  async #begin(
    template: Template,
    shape: Shape,
    command: { commandId: string; deadlineMs: number },
  ): Promise<Sandbox> {
    const { sandboxes, hostId, kernel, ports } = this.#options;
    return await sandboxes.create({
      id: newSandboxId(),
      teamId: PLATFORM_TEAM_ID,
      hostId,
      createdAtMs: ports.clock.nowMs(),
      options: {
        template: template.file.name,
        vcpus: shape.vcpus,
        memory_mb: shape.memoryMb,
        disk_size_mb: warmDiskMb(template),
        timeout_s: 0,
        on_timeout: 'destroy',
        auto_resume: false,
        metadata: {},
      },
      source: { kind: 'image', imagePath: template.imagePath ?? '' },
      kernel,
      defaults: defaultsOf(template),
      ...newIdentity(),
      command: { id: command.commandId, name: 'create', deadlineMs: command.deadlineMs },
    });
  }
}

function tooManyShapes({ file, warm }: Template): DormouseError {
  return new DormouseError(
    'INVALID_SIZE',
    `The template "${file.name}" has been started in ${SHAPES_MAX} shapes already. Ask for one of those (vCPUs x MiB): ${[...warm.keys()].join(', ')}.`,
    { data: { shapes: [...warm.keys()] } },
  );
}
