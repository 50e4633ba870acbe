import { createBus } from '../../src/bus/bus.ts';
import { onStep } from '../../src/fault-points.ts';
import { runProjector } from '../../src/projector/projector.ts';
import type { RolePorts } from '../../src/roles/context.ts';
import { startSchedulerPart } from '../../src/roles/scheduler-part.ts';
import { type Agent, startAgent } from './agent.ts';
import { Client } from './client.ts';
import { History } from './history.ts';
import { simulatedLog } from './log.ts';
import { SHAPE, TEMPLATE } from './paths.ts';
import type { Scenario, Shared } from './scenarios.ts';
import { type Services, startServices } from './services/index.ts';
import { stepFaults } from './step-faults.ts';
import type { FileSystem } from './world/file-system.ts';
import { CONTROL, Process } from './world/process.ts';
import { setWorld, type World } from './world/world.ts';

/** How long after its death a process is started again, in milliseconds: as a service manager does. */
const RESTART_MS = 1_000;
/** How often an agent may be started in a run before that counts as a failure that does not end. */
const STARTS_MAX = 60;

/** One run: a host with its agent, the control plane, and clients. */
export class Simulation {
  readonly world: World;
  readonly services: Services;
  readonly history = new History();
  /** The agent that is ready; undefined while there is none. */
  agent: Agent | undefined;
  #agentProcess: Process | undefined;
  #starts = 0;
  #number = 0;
  #isOver = false;
  #upgrades: Array<() => void> = [];

  /** @param disk what the host's disk holds at the beginning */
  constructor(world: World, disk: FileSystem) {
    this.world = world;
    world.files.copyFrom(disk);
    setWorld(world);
    this.services = startServices(world);
    onStep(stepFaults(this));
    world.keeper.run(() => {
      this.#startAgent();
      this.#startControl();
    });
  }

  /** Ends the run: nothing of it goes on. */
  close(): void {
    this.#isOver = true;
    onStep(undefined);
    setWorld(undefined);
    this.#agentProcess?.die();
  }

  /** Starts the scenario's clients; `left` says how many are not done yet. */
  startClients(scenario: Scenario): { left(): number } {
    let left = scenario.clients.length;
    let made: (id: string) => void = () => {};
    const shared: Shared = {
      sandbox: new Promise((resolve) => {
        made = resolve;
      }),
      made: (id) => made(id),
      number: () => ++this.#number,
      warm: () => this.warm({ ...SHAPE, vcpus: 2 }),
      startSecondAgent: () => this.startSecondAgent(),
      upgrade: () => this.upgrade(),
    };
    for (const [at, program] of scenario.clients.entries()) {
      const process = new Process(`client ${at + 1}`);
      void process.run(async () => {
        const client = new Client(`client-${at + 1}`, this.world, this.services, this.history);
        await program(client, shared).catch((error: unknown) =>
          this.world.violate(`a client failed: ${String(error)}`),
        );
        left -= 1;
      });
    }
    return { left: () => left };
  }

  /** A client that is not part of the scenario. */
  async withClient(program: (client: Client) => Promise<void>, limitMs: number): Promise<boolean> {
    let isDone = false;
    const process = new Process('examiner');
    void process.run(async () => {
      await program(new Client('examiner', this.world, this.services, this.history));
      isDone = true;
    });
    return await this.world.run(() => isDone, limitMs);
  }

  /** Asks the agent to stop and starts another one. Resolves when that is ready. */
  async upgrade(): Promise<void> {
    const { agent } = this;
    const process = this.#agentProcess;
    if (!agent || !process) return;
    this.world.note('the agent is asked to stop');
    this.agent = undefined;
    const ready = new Promise<void>((resolve) => this.#upgrades.push(resolve));
    // One that cannot let go in time ends all the same.
    void process.run(() => agent.stop().catch(() => process.die()));
    await ready;
  }

  /** Another agent is started beside the one that runs: it must refuse. */
  async startSecondAgent(): Promise<void> {
    if (!this.agent) return;
    const process = this.world.hostProcess('second agent');
    const ended = new Promise<void>((resolve) => process.atDeath(resolve));
    void process.run(async () => {
      await startAgent(this.world, this.services).then(
        // The first one may have died meanwhile; then this is the one that there is to be.
        () => this.agent && this.world.violate('two agents run on one data directory'),
        () => {},
      );
      process.die();
    });
    await ended;
  }

  /** Has the host make a saved machine. Resolves when that is settled, or the agent died. */
  warm(shape: typeof SHAPE): Promise<void> {
    return this.onAgent((agent) => agent.host.warm(TEMPLATE, shape));
  }

  /** Does something in the agent's process. Undefined when there is none, or it dies meanwhile: it never answers then. */
  onAgent<T>(work: (agent: Agent) => Promise<T>): Promise<T | undefined> {
    const { agent } = this;
    const process = this.#agentProcess;
    if (!agent || !process) return Promise.resolve(undefined);
    return Promise.race([
      process.run(() => work(agent)),
      new Promise<undefined>((resolve) => process.atDeath(() => resolve(undefined))),
    ]);
  }

  #startAgent(): void {
    this.#starts += 1;
    const process = this.world.hostProcess(`agent ${this.#starts}`);
    this.#agentProcess = process;
    this.world.note(`${process.name} starts`);
    process.atDeath(() => {
      this.world.note(`${process.name} is gone`);
      if (this.#agentProcess === process) this.agent = undefined;
      if (this.#isOver) return;
      if (this.#starts >= STARTS_MAX) this.world.violate('no agent comes up any more');
      this.world.keeper.run(() => this.world.clock.after(RESTART_MS, () => this.#startAgent()));
    });
    void process.run(async () => {
      try {
        const agent = await startAgent(this.world, this.services);
        if (process.isDead) return;
        this.agent = agent;
        this.world.note(`${process.name} is ready`);
        for (const resolve of this.#upgrades.splice(0)) resolve();
      } catch (error) {
        this.world.note(`${process.name} does not come up: ${String(error)}`);
        process.die();
      }
    });
  }

  /** Scheduler and projector. */
  #startControl(): void {
    const process = new Process(CONTROL);
    process.atDeath(() => {
      this.world.note('the control plane is gone');
      if (!this.#isOver)
        this.world.keeper.run(() => this.world.clock.after(RESTART_MS, () => this.#startControl()));
    });
    const { nats, stream, records } = this.services;
    process.run(() => {
      const { clock } = this.world;
      const log = simulatedLog(this.world);
      const ports = { clock, log } as RolePorts;
      const bus = createBus({
        connection: nats.connect(),
        events: stream.log,
        hosts: stream.directory,
        clock,
        log,
      });
      const signal = new AbortController().signal;
      void startSchedulerPart(bus, records.open(), ports);
      void runProjector({ bus, records: records.open(), clock, log, signal });
    });
  }
}
