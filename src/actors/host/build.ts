import { rm } from 'node:fs/promises';
import path from 'node:path';
import { Value } from 'typebox/value';
import { DormouseError } from '../../errors/index.ts';
import { unlessAborted } from '../../unless-aborted.ts';
import type { ExecOutput, Sandbox } from '../sandbox/sandbox.ts';
import type { CommandContext } from '../system/command.ts';
import type { Room } from './capacity.ts';
import type { BuiltImage, ImageTools } from './image-tools.ts';
import type { Sandboxes } from './sandboxes.ts';
import { imageOfSandbox, type SnapshotParts } from './snapshot.ts';
import { defaultShape, IMAGE_FILE, sizeMbOf } from './template.ts';
import { notReadyBecause } from './template-commands.ts';
import { DEFAULT_DISK_MB, DEFAULT_MEMORY_MB, DEFAULT_VCPUS, type TemplateFile } from './template-file.ts';
import {
  type BuildProgress,
  type BuildTemplate,
  checkEnv,
  type TemplateDetails,
  TemplateSpec,
} from './template-protocol.ts';
import type { Uploads } from './uploads.ts';
import type { WarmMaker } from './warm.ts';

export interface BuilderOptions extends SnapshotParts {
  sandboxes: Pick<Sandboxes, 'get'>;
  uploads: Pick<Uploads, 'take'>;
  images: ImageTools;
  warm: Pick<WarmMaker, 'make'>;
  room: Pick<Room, 'keep'>;
  /** Least size of an image, in MiB; 0 to leave them as they are. */
  imageSizeMb: number;
  /** Gets the lines of a build's progress, as a program's standard output. */
  output: ExecOutput;
}

/** Builds that wait for the one that runs. */
const QUEUE_MAX = 8;
/** And of one team: the others must get their turn, too. */
const TEAM_QUEUE_MAX = 2;

type Progress = (line: BuildProgress) => void;
/** Makes the image of a template, of whatever it is built from. */
type MakeImage = (imagePath: string, progress: Progress) => Promise<Pick<BuiltImage, 'config'>>;

/**
 * Builds templates, one after the other: unpacking and booting take a processor and much of the disk. A template is offered
 * when a sandbox of it has booted, and its commands have run: one that does not get ready is none.
 */
export class Builder {
  readonly #options: BuilderOptions;
  #last: Promise<unknown> = Promise.resolve();
  readonly #queue = new Set<{ teamId: string; isRunning: boolean }>();
  readonly #stopping = new AbortController();

  constructor(options: BuilderOptions) {
    this.#options = options;
  }

  /** Ends the builds that run and wait, as if their callers had gone, and waits until nothing is left of them. No further one is begun. */
  async stop(): Promise<void> {
    this.#stopping.abort(new DormouseError('HOST_DRAINING', 'The host stops. Build the template again.'));
    await this.#last;
  }

  /**
   * Builds a template from an upload, which is gone afterwards, or from the disk of a sandbox. A command that comes again waits for
   * the build, or gets its outcome. A caller that goes away ends it, and so does a stop.
   *
   * @throws `TEMPLATE_EXISTS`, `TEMPLATE_INVALID`, `TEMPLATE_NOT_READY`, `UPLOAD_BROKEN`, `SANDBOX_NOT_FOUND`, `SANDBOX_WRONG_STATE`,
   * `INVALID_REQUEST`, `INVALID_SIZE`, `NO_HOST_AVAILABLE`, `DISK_FULL`, `RATE_LIMITED` when too many wait, `HOST_DRAINING`,
   * `IDEMPOTENCY_KEY_REUSED`; nothing is left then
   */
  async build(body: BuildTemplate, context: CommandContext): Promise<TemplateDetails> {
    const { once, templates, uploads } = this.#options;
    checkEnv(body.spec.env);
    return await once.run('build-template', body, context, async () => {
      const made = templates.madeBy(context.commandId);
      if (made) return await templates.details(made);
      const { source, team_id: teamId } = body;
      const signal = AbortSignal.any([context.signal, this.#stopping.signal]);
      const own = { ...context, signal };
      const build = (makeImage: MakeImage): Promise<TemplateDetails> =>
        this.#inTurn(teamId, signal, () => this.#build(body, makeImage, own));
      if (!('upload_id' in source)) return await build((...image) => this.#copyDisk(source, own, ...image));
      // Also while it waits: what comes for the upload now must not change what is built.
      return await uploads.take(source.upload_id, teamId, (sourcePath) =>
        build((...image) => this.#unpack({ sourcePath, format: source.format }, own, ...image)),
      );
    });
  }

  /** Works when all that came before have ended. Whoever goes away while it waits makes room at once. */
  async #inTurn<T>(teamId: string, signal: AbortSignal, work: () => Promise<T>): Promise<T> {
    const waiting = [...this.#queue].filter(({ isRunning }) => !isRunning);
    if (waiting.length >= QUEUE_MAX)
      throw new DormouseError(
        'RATE_LIMITED',
        `${QUEUE_MAX} builds wait on this host already. Try again later.`,
      );
    if (waiting.filter((other) => other.teamId === teamId).length >= TEAM_QUEUE_MAX)
      throw new DormouseError(
        'RATE_LIMITED',
        `${TEAM_QUEUE_MAX} builds of your team wait on this host already. Try again when one has ended.`,
      );
    const build = { teamId, isRunning: this.#queue.size === 0 };
    const before = this.#last;
    const mine = Promise.withResolvers<void>();
    this.#last = before.then(() => mine.promise);
    this.#queue.add(build);
    try {
      await unlessAborted(before, signal);
      build.isRunning = true;
      return await work();
    } finally {
      this.#queue.delete(build);
      mine.resolve();
    }
  }

  async #build(body: BuildTemplate, makeImage: MakeImage, context: CommandContext): Promise<TemplateDetails> {
    const { templates, drivers, images, imageSizeMb, warm, room, output, ports } = this.#options;
    const { spec, team_id: teamId, overwrite } = body;
    const { signal, commandId } = context;
    const progress: Progress = (line) =>
      output(commandId, 'stdout', Buffer.from(`${JSON.stringify(line)}\n`));
    const stage = (name: string, message?: string): void =>
      progress({
        stage: name,
        done_bytes: null,
        total_bytes: null,
        ...(message !== undefined && { message }),
      });
    checkDisk(spec, imageSizeMb);
    await drivers.checkSpace();
    return await templates.make({ teamId, name: spec.name, overwrite }, async ({ id, dir }) => {
      const imagePath = path.join(dir, IMAGE_FILE);
      const { config = {} } = await makeImage(imagePath, progress);
      stage('expanding the file system');
      await images.grow(imagePath, imageSizeMb, signal);
      const imageMb = await sizeMbOf(imagePath);
      checkDisk(spec, imageMb);
      const file: TemplateFile = {
        ...fileOf(spec, config, imageMb),
        id,
        team_id: teamId,
        created_at: new Date(ports.clock.nowMs()).toISOString(),
        source_sandbox_id: 'sandbox_id' in body.source ? body.source.sandbox_id : null,
        command_id: commandId,
      };
      const template = await templates.draft(dir, file);
      const begun = room.keep({ vcpus: file.vcpus, memory_mb: file.memory_mb });
      try {
        await warm.make(template, defaultShape(template), {
          signal,
          stage(name, message) {
            if (name === 'booting') begun();
            stage(name, message);
          },
        });
      } catch (error) {
        signal.throwIfAborted();
        throw notReadyBecause(spec.name, error);
      } finally {
        begun();
      }
      return file;
    });
  }

  async #copyDisk(
    source: { sandbox_id: string; team_id: string },
    context: CommandContext,
    imagePath: string,
    progress: Progress,
  ): Promise<Pick<BuiltImage, 'config'>> {
    const sandbox = await this.#sandboxOf(source);
    progress({ stage: 'copying', done_bytes: null, total_bytes: null });
    await imageOfSandbox(sandbox, imagePath, context, this.#options);
    const { defaults } = sandbox.context;
    return defaults ? { config: defaults } : {};
  }

  async #unpack(
    upload: Pick<Parameters<ImageTools['build']>[0], 'sourcePath' | 'format'>,
    { signal }: CommandContext,
    imagePath: string,
    progress: Progress,
  ): Promise<Pick<BuiltImage, 'config'>> {
    const workDir = `${upload.sourcePath}.work`;
    try {
      const built = await this.#options.images.build({ ...upload, imagePath, workDir, signal, progress });
      if (built.leftOut.length > 0)
        progress({
          stage: 'making the file system',
          done_bytes: null,
          total_bytes: null,
          message: `left out: ${built.leftOut.join('; ')}`,
        });
      return built;
    } finally {
      await rm(workDir, { recursive: true, force: true });
    }
  }

  async #sandboxOf(source: { sandbox_id: string; team_id: string }): Promise<Sandbox> {
    const sandbox = await this.#options.sandboxes.get(source.sandbox_id);
    if (sandbox?.context.teamId === source.team_id) return sandbox;
    throw new DormouseError('SANDBOX_NOT_FOUND', `There is no sandbox ${source.sandbox_id} on this host.`);
  }
}

/** @throws `INVALID_SIZE` when the disk that sandboxes are to have by default cannot hold the image */
function checkDisk(spec: TemplateSpec, imageMb: number): void {
  if (spec.disk_size_mb === undefined || spec.disk_size_mb >= imageMb) return;
  throw new DormouseError(
    'INVALID_SIZE',
    `disk_size_mb is ${spec.disk_size_mb}, but the image has ${imageMb} MiB.`,
    { data: { disk_size_mb: spec.disk_size_mb, minimum_mb: imageMb } },
  );
}

/** What was said of the template, above what its image says of itself, above the defaults. */
function fileOf(
  spec: TemplateSpec,
  config: NonNullable<BuiltImage['config']>,
  imageMb: number,
): Omit<TemplateFile, 'id' | 'team_id' | 'created_at' | 'source_sandbox_id' | 'command_id'> {
  const usable = usableOf(config);
  return {
    v: 2,
    name: spec.name,
    kind: 'base',
    memory: false,
    vcpus: spec.vcpus ?? DEFAULT_VCPUS,
    memory_mb: spec.memory_mb ?? DEFAULT_MEMORY_MB,
    disk_size_mb: spec.disk_size_mb ?? Math.max(DEFAULT_DISK_MB, imageMb),
    user: spec.user ?? usable.user ?? null,
    cwd: spec.cwd ?? usable.cwd ?? null,
    env: { ...usable.env, ...spec.env },
    start_cmd: spec.start_cmd ?? null,
    ready_cmd: spec.ready_cmd ?? null,
  };
}

/** An image may say of itself what a template cannot be told, such as a user with a group. That is left out. */
function usableOf(config: NonNullable<BuiltImage['config']>): Pick<TemplateSpec, 'user' | 'cwd' | 'env'> {
  const { user, cwd, env } = TemplateSpec.properties;
  return {
    ...(config.user !== undefined && Value.Check(user, config.user) && { user: config.user }),
    ...(config.cwd !== undefined && Value.Check(cwd, config.cwd) && { cwd: config.cwd }),
    ...(config.env !== undefined && Value.Check(env, config.env) && { env: config.env }),
  };
}
