import { within } from '../../clock.ts';
import { DormouseError, messageOf } from '../../errors/index.ts';
import { PLATFORM_TEAM_ID } from '../../ids.ts';
import type { ForkReply, ForkRequest, SandboxView, SnapshotRequest } from '../sandbox/protocol.ts';
import type { Sandbox } from '../sandbox/sandbox.ts';
import { Actor } from '../system/actor.ts';
import type { CommandContext } from '../system/command.ts';
import type { Inspection } from '../system/inspection.ts';
import { volatileJournal } from '../system/journal.ts';
import { usedBy } from './capacity.ts';
import { type CreateParts, createSandbox } from './create.ts';
import { type ForkParts, forkSandbox } from './fork.ts';
import { slotsAndDevices } from './holdings.ts';
import { type Found, type HostOptions, NOTHING_FOUND } from './host-options.ts';
import { ADOPT_LIMIT_MS, type Parts, partsOf, STOP_LIMIT_MS, stepsOf } from './host-parts.ts';
import { HOST_MACHINE_COMMANDS, hostInspection } from './inspect.ts';
import type { Holdings, Usage } from './inspection-protocol.ts';
import { type HostContext, hostMachine } from './machine.ts';
import type { CreateSandbox, HostInfo } from './protocol.ts';
import { findLeaks, type Leak } from './reconcile.ts';
import { neverMind } from './sandboxes.ts';
import { type SnapshotParts, snapshotSandbox } from './snapshot.ts';
import type { Shape } from './template.ts';
import type {
  BuildTemplate,
  DiscardUpload,
  TemplateDetails,
  TemplateRef,
  UploadPiece,
} from './template-protocol.ts';
import { usageOf } from './usage.ts';

export type { Found, HostOptions };

/** The host actor: keeps the sandboxes of one machine. */
export class Host {
  readonly #options: HostOptions;
  readonly #parts: Parts;
  readonly #startedAtMs: number;
  readonly #actor: Actor<HostContext>;
  /** What was there when it started. */
  readonly found: Readonly<Found>;

  private constructor(options: HostOptions, parts: Parts, actor: Actor<HostContext>, found: Found) {
    this.found = found;
    this.#options = options;
    this.#parts = parts;
    this.#actor = actor;
    this.#startedAtMs = options.ports.clock.nowMs();
  }

  /** Starts the host: adopts what an earlier agent left, and is `ready` on return. Throws what adopting threw. */
  static async start(options: HostOptions): Promise<Host> {
    const { hostId, ports, mailboxSize } = options;
    const parts = partsOf(options);
    const found: Found = { ...NOTHING_FOUND };
    const actor = await Actor.start<HostContext>(
      {
        kind: 'host',
        id: hostId,
        machine: hostMachine,
        steps: stepsOf(options, parts, found),
        journal: volatileJournal,
        ports: { ...ports, log: ports.log.child({ host: hostId }) },
        mailboxSize,
        commands: HOST_MACHINE_COMMANDS,
        inspected: (occurrence) =>
          options.inspector?.happened({ kind: 'host', hostId }, () => hostInspection(occurrence)),
        whenBusy: 'refuse',
        view: () => undefined,
      },
      { hostId },
    );
    const host = new Host(options, parts, actor, found);
    try {
      await within(ports.clock, ADOPT_LIMIT_MS, (signal) =>
        actor.until(() => actor.state !== 'starting', signal),
      );
      if (actor.context.error) throw DormouseError.fromRecord(actor.context.error);
    } catch (error) {
      await host
        .stop()
        .catch((late: unknown) => ports.log.error({ err: messageOf(late) }, 'the host was not let go of'));
      throw error;
    }
    return host;
  }

  get id(): string {
    return this.#options.hostId;
  }

  /** What it is in the middle of now, and what led there. */
  inspection(): Inspection {
    return hostInspection(this.#actor.present());
  }

  sandboxes(): Sandbox[] {
    return this.#parts.sandboxes.all();
  }

  /** Makes a sandbox and answers when it runs. See `createSandbox`. */
  async create(body: CreateSandbox, context: CommandContext): Promise<SandboxView> {
    return await createSandbox(body, context, this.#createParts());
  }

  /** Makes copies of a sandbox of this host and answers when they run. See `forkSandbox`. Throws `HOST_DRAINING`, too. */
  async fork(original: Sandbox, request: ForkRequest, context: CommandContext): Promise<ForkReply> {
    this.#checkAccepting();
    const { ports, hostId } = this.#options;
    const parts: ForkParts = { ...this.#parts, ports, hostId };
    return await forkSandbox(original, request, context, parts);
  }

  /** Makes a template from a sandbox of this host. See `snapshotSandbox`. */
  async snapshot(
    sandbox: Sandbox,
    request: SnapshotRequest,
    context: CommandContext,
  ): Promise<TemplateDetails> {
    const parts: SnapshotParts = { ...this.#options, ...this.#parts };
    return await this.#announced(snapshotSandbox(sandbox, request, context, parts));
  }

  /** Takes a piece of an upload. See `Uploads.append`. */
  async upload(piece: UploadPiece): Promise<{ bytes: number }> {
    return await this.#parts.uploads.append(piece);
  }

  /** Forgets an upload; that there is none is fine. */
  async discardUpload(upload: DiscardUpload): Promise<Record<never, never>> {
    await this.#parts.uploads.discard(upload);
    return {};
  }

  /** Builds a template and answers when sandboxes can be made from it. See `Builder.build`. Throws `HOST_DRAINING`, too. */
  async buildTemplate(body: BuildTemplate, context: CommandContext): Promise<TemplateDetails> {
    this.#checkAccepting();
    return await this.#announced(this.#parts.builder.build(body, context));
  }

  /** All of the team's template of that name, else of the platform's. Throws `TEMPLATE_NOT_FOUND`. */
  async template({ team_id: teamId, name }: TemplateRef): Promise<TemplateDetails> {
    const { templates } = this.#options;
    return await templates.details(templates.get(teamId, name));
  }

  /** Removes a template, and what is being made of it in the background. See `Templates.remove`. */
  async deleteTemplate({ team_id: teamId, name }: TemplateRef): Promise<TemplateDetails> {
    const { templates } = this.#options;
    const template = templates.get(teamId, name);
    if (template.file.team_id === teamId) await this.#parts.warm.cancel(template);
    return await this.#announced(templates.remove(teamId, name));
  }

  /** Makes sure, in the background, that creating sandboxes of this shape of a platform template is a clone. Resolves when that is settled. */
  async warm(name: string, shape: Shape): Promise<void> {
    const template = this.#options.templates.find(PLATFORM_TEAM_ID, name);
    if (template) await this.#parts.warm.want(template, shape);
  }

  async info(): Promise<HostInfo> {
    const { clock } = this.#options.ports;
    const { limits } = this.#options;
    return {
      host_id: this.id,
      version: this.#options.version,
      state: (this.#actor.state === 'stopping' ? 'stopped' : this.#actor.state) as HostInfo['state'],
      started_at: new Date(this.#startedAtMs).toISOString(),
      at: new Date(clock.nowMs()).toISOString(),
      accelerator: this.#options.accelerator,
      disk_driver: this.#options.drivers.disk.kind,
      vmm_driver: this.#options.drivers.vmm.kind,
      capacity: {
        vcpus: limits.vcpus,
        memory_mb: limits.memoryMb,
        disk_free_mb: await this.#options.freeMb(),
      },
      used: usedBy(this.#parts.sandboxes.all()),
      templates: await this.#options.templates.describe(),
    };
  }

  /** Takes no new sandboxes from now on. */
  async drain(context: CommandContext): Promise<HostInfo> {
    await this.#actor.ask('drain', {}, context);
    return await this.info();
  }

  /** What the machine holds that no ledger names, and the reverse. Empty when all is well. */
  async leaks(): Promise<Leak[]> {
    const { folders } = this.#options;
    const { drivers, sandboxes, leftovers } = this.#parts;
    return [...(await findLeaks(folders.sandboxes, drivers, sandboxes)), ...(await leftovers.find())];
  }

  /** What it holds of its machine for sandboxes: network slots and devices of disks. Throws what the drivers throw. */
  async holdings(): Promise<Pick<Holdings, 'slots' | 'devices'>> {
    return await slotsAndDevices(this.#options.folders.sandboxes, this.#parts.drivers);
  }

  /** What the files of a team's sandboxes take. See `usageOf`. */
  async usage(teamId: string, signal: AbortSignal): Promise<Usage> {
    const { pathsOf } = this.#options.drivers;
    const folders = this.sandboxes()
      .filter(({ context }) => context.teamId === teamId)
      .map(({ id }) => ({ id, root: pathsOf(id).root }));
    return await usageOf(folders, signal);
  }

  /** Pauses every running sandbox. Says which could not be. */
  async pauseAll(): Promise<Array<{ id: string; error: unknown }>> {
    const running = this.#parts.sandboxes.all().filter(({ actor }) => actor.state === 'running');
    const results = await Promise.allSettled(
      running.map((sandbox) => sandbox.command('pause', {}, neverMind(this.#options.ports))),
    );
    return results.flatMap((result, index) =>
      result.status === 'rejected' ? [{ id: running[index]?.id ?? '', error: result.reason }] : [],
    );
  }

  /** Ends what takes long and is for later: builds of templates, and saved machines in the making. Nobody has to wait for them then. */
  async stopMaking(): Promise<void> {
    await this.#parts.builder.stop();
    await this.#parts.warm.stop();
  }

  /** Lets go of the sandboxes, which stay as they are: virtual machines run on. Throws when something of the host may work on. */
  async stop(): Promise<void> {
    await this.#actor.tell({ type: 'stop' });
    await within(this.#options.ports.clock, STOP_LIMIT_MS, (signal) =>
      this.#actor.until(() => this.#actor.isDone, signal),
    );
    await this.#actor.stop();
    const { notLetGo } = this.#actor.context;
    if (notLetGo) throw DormouseError.fromRecord(notLetGo);
  }

  #createParts(): CreateParts {
    const { templates, kernel, ports, hostId } = this.#options;
    const checkAccepting = (): void => this.#checkAccepting();
    return { ...this.#parts, templates, kernel, ports, hostId, checkAccepting };
  }

  #checkAccepting(): void {
    if (!this.#actor.hasTag('accepting'))
      throw new DormouseError(
        'HOST_DRAINING',
        `The host ${this.id} is ${this.#actor.state} and takes no new sandboxes.`,
      );
  }

  /** Whoever keeps the directory is told when the work has changed what this host has. */
  async #announced<T>(work: Promise<T>): Promise<T> {
    const result = await work;
    this.#options.settled();
    return result;
  }
}
