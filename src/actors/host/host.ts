import { DormouseError } from '../../errors/index.ts';
import type { KernelFiles, SandboxContext } from '../sandbox/context.ts';
import type { SandboxDrivers } from '../sandbox/drivers.ts';
import type { SandboxTransition, SandboxView } from '../sandbox/protocol.ts';
import type { ExecOutput, Sandbox } from '../sandbox/sandbox.ts';
import { Actor } from '../system/actor.ts';
import type { CommandContext } from '../system/command.ts';
import { volatileJournal } from '../system/journal.ts';
import type { ActorPorts, EventSink } from '../system/ports.ts';
import type { Step } from '../system/step.ts';
import { checkRoom, type Limits, usedBy } from './capacity.ts';
import { DiskWatch } from './disk-watch.ts';
import { newIdentity } from './identity.ts';
import { type HostContext, hostMachine } from './machine.ts';
import type { CreateSandbox, HostInfo } from './protocol.ts';
import { clearDebris, findLeaks, type Leak } from './reconcile.ts';
import { neverMind, Sandboxes } from './sandboxes.ts';
import type { MeasureSpace, SpaceMarks } from './space.ts';
import type { Shape, Templates } from './templates.ts';
import { WarmMaker } from './warm.ts';

export interface HostOptions {
  hostId: string;
  version: string;
  /** Folder of the sandboxes, on the store. */
  root: string;
  drivers: SandboxDrivers;
  templates: Templates;
  kernel: KernelFiles;
  accelerator: 'kvm' | 'tcg';
  limits: Limits;
  /** Measures the free space on the store. */
  freeMb: MeasureSpace;
  space: SpaceMarks;
  mailboxSize: number;
  ports: ActorPorts;
  sink: EventSink<SandboxTransition>;
  output: ExecOutput;
  appeared(sandbox: Sandbox): void;
  vanished(sandbox: Sandbox): void;
  /** What `info` says may have changed. */
  settled(): void;
}

const ADOPT_LIMIT_MS = 120_000;
const STOP_LIMIT_MS = 60_000;

/** The host actor: keeps the sandboxes of one machine. */
export class Host {
  readonly #options: HostOptions;
  readonly #sandboxes: Sandboxes;
  readonly #warm: WarmMaker;
  readonly #startedAtMs: number;
  readonly #actor: Actor<HostContext>;

  private constructor(
    options: HostOptions,
    sandboxes: Sandboxes,
    warm: WarmMaker,
    actor: Actor<HostContext>,
  ) {
    this.#options = options;
    this.#sandboxes = sandboxes;
    this.#warm = warm;
    this.#actor = actor;
    this.#startedAtMs = options.ports.clock.nowMs();
  }

  /** Starts the host: adopts what an earlier agent left, and is `ready` on return. Throws what adopting threw. */
  static async start(options: HostOptions): Promise<Host> {
    const { hostId, drivers, templates, kernel, ports, root, mailboxSize } = options;
    const { sink, output, appeared, vanished, settled } = options;
    const sandboxes = new Sandboxes({
      root,
      drivers,
      ports,
      mailboxSize,
      sink,
      output,
      appeared,
      vanished,
      settled,
    });
    const watch = new DiskWatch({
      disk: drivers.disk,
      sandboxes: () => sandboxes.all(),
      freeMb: options.freeMb,
      marks: options.space,
      ...ports,
    });
    const warm = new WarmMaker({ templates, sandboxes, drivers, ports, hostId, kernel });
    const steps: Record<string, Step<HostContext, unknown>> = {
      adopt: {
        name: 'adopt',
        direction: 'forward',
        timeoutMs: ADOPT_LIMIT_MS,
        async run(_, { signal, log }) {
          const debris = await clearDebris(root, drivers, signal, log);
          await drivers.network.start(await sandboxes.slotHolders(), signal);
          log.info({ ...(await sandboxes.adopt()), ...debris }, 'adopted what was there');
          watch.start();
        },
      },
      letGo: {
        name: 'letGo',
        direction: 'undo',
        timeoutMs: STOP_LIMIT_MS,
        async run() {
          await watch.stop();
          await warm.stop();
          await sandboxes.stop();
          await drivers.network.stop();
          await drivers.vmm.close();
        },
      },
    };
    const actor = await Actor.start<HostContext>(
      {
        kind: 'host',
        id: hostId,
        machine: hostMachine,
        steps,
        journal: volatileJournal,
        ports: { ...ports, log: ports.log.child({ host: hostId }) },
        mailboxSize,
        commands: ['drain'],
        whenBusy: 'refuse',
        view: () => undefined,
      },
      { hostId },
    );
    const host = new Host(options, sandboxes, warm, actor);
    await actor.until(() => actor.state !== 'starting', AbortSignal.timeout(ADOPT_LIMIT_MS));
    if (actor.context.error) {
      await host.stop();
      throw DormouseError.fromRecord(actor.context.error);
    }
    return host;
  }

  get id(): string {
    return this.#options.hostId;
  }

  sandboxes(): Sandbox[] {
    return this.#sandboxes.all();
  }

  /**
   * Makes a sandbox and answers when it runs. Asked again with the same sandbox id it answers for the one that is there.
   *
   * @throws `HOST_DRAINING`, `TEMPLATE_NOT_FOUND`, `INVALID_SIZE`, `NO_HOST_AVAILABLE`, `DISK_FULL`, and what the steps of
   * creating throw; then nothing is left behind
   */
  async create(body: CreateSandbox, context: CommandContext): Promise<SandboxView> {
    const own = { ...context, commandId: body.command_id };
    const there = await this.#sandboxes.get(body.sandbox_id);
    if (there) {
      if (there.context.teamId !== body.team_id)
        throw new DormouseError('SANDBOX_NOT_FOUND', `There is no sandbox ${body.sandbox_id}.`);
      return ((await there.actor.outcome(own)) ?? there.view()) as SandboxView;
    }
    if (!this.#actor.hasTag('accepting'))
      throw new DormouseError(
        'HOST_DRAINING',
        `The host ${this.id} is ${this.#actor.state} and takes no new sandboxes.`,
      );
    const options: SandboxContext['options'] = { ...body.options, metadata: body.options.metadata ?? {} };
    const template = this.#options.templates.get(options.template);
    if (options.disk_size_mb < template.sizeMb) {
      throw new DormouseError(
        'INVALID_SIZE',
        `disk_size_mb is ${options.disk_size_mb}, but the template "${template.name}" needs at least ${template.sizeMb}.`,
        { data: { disk_size_mb: options.disk_size_mb, minimum_mb: template.sizeMb } },
      );
    }
    checkRoom(options, this.#options.limits, usedBy(this.#sandboxes.all()));
    await this.#options.drivers.checkSpace();
    const source = this.#options.templates.sourceOf(options);
    // While this was being checked, the same command may have come again.
    const twin = this.#sandboxes.get(body.sandbox_id);
    const sandbox = await (twin ??
      this.#sandboxes.create({
        id: body.sandbox_id,
        teamId: body.team_id,
        hostId: this.id,
        options,
        createdAtMs: this.#options.ports.clock.nowMs(),
        source,
        kernel: this.#options.kernel,
        ...newIdentity(),
        command: { id: body.command_id, name: 'create', deadlineMs: context.deadlineMs },
      }));
    const view = ((await sandbox.actor.outcome(own)) ?? sandbox.view()) as SandboxView;
    if (source.kind === 'image')
      void this.warm(options.template, { vcpus: options.vcpus, memoryMb: options.memory_mb });
    return view;
  }

  /** Makes sure, in the background, that creating sandboxes of this shape is a clone. Resolves when that is settled. */
  warm(template: string, shape: Shape): Promise<void> {
    return this.#warm.want(template, shape);
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
      used: usedBy(this.#sandboxes.all()),
      templates: await this.#options.templates.describe(),
    };
  }

  /** Takes no new sandboxes from now on. */
  async drain(context: CommandContext): Promise<HostInfo> {
    await this.#actor.ask('drain', {}, context);
    return await this.info();
  }

  /** What the machine holds that no ledger names, and the reverse. Empty when all is well. */
  leaks(): Promise<Leak[]> {
    return findLeaks(this.#options.root, this.#options.drivers, this.#sandboxes.all());
  }

  /** Pauses every running sandbox. Says which could not be. */
  async pauseAll(): Promise<Array<{ id: string; error: unknown }>> {
    const running = this.#sandboxes.all().filter(({ actor }) => actor.state === 'running');
    const results = await Promise.allSettled(
      running.map((sandbox) => sandbox.command('pause', {}, neverMind(this.#options.ports))),
    );
    return results.flatMap((result, index) =>
      result.status === 'rejected' ? [{ id: running[index]?.id ?? '', error: result.reason }] : [],
    );
  }

  /** Lets go of the sandboxes, which stay as they are: virtual machines run on. */
  async stop(): Promise<void> {
    await this.#actor.tell({ type: 'stop' });
    await this.#actor.until(() => this.#actor.isDone, AbortSignal.timeout(STOP_LIMIT_MS));
    await this.#actor.stop();
  }
}
