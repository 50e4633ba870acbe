import { hostCommands } from '../../src/actors/host/protocol.ts';
import { type SandboxOptions, type SandboxView, sandboxCommands } from '../../src/actors/sandbox/protocol.ts';
import { schedulerCommands } from '../../src/actors/scheduler/protocol.ts';
import { createBus } from '../../src/bus/bus.ts';
import { hostSubject, SCHEDULER_SUBJECT, sandboxSubject } from '../../src/bus/subjects.ts';
import type { Bus } from '../../src/bus/types.ts';
import { catalogue } from '../../src/errors/catalogue.ts';
import { DormouseError, type ErrorCode } from '../../src/errors/index.ts';
import { DEFAULT_TEAM_ID, sandboxIdForKey } from '../../src/ids.ts';
import type { Records } from '../../src/records/types.ts';
import type { History, Operation, Verb } from './history.ts';
import { simulatedLog } from './log.ts';
import { DISK_MB, HOST_ID, SHAPE, TEMPLATE } from './paths.ts';
import type { Services } from './services/index.ts';
import type { World } from './world/world.ts';

/** How long a client waits for one answer, and how often it asks again with the same key. */
const DEADLINE_MS = 40_000;
const TRIES = 8;
const FIRST_PAUSE_MS = 500;
/** How often a sandbox is looked at that is to time out, and for how long: the clock may be set back by an hour. */
const LOOK_MS = 20_000;
const TIMEOUT_LIMIT_MS = 2 * 3_600_000;

/**
 * A client of Dormouse: sends commands over the bus as the edge does, each with a key of its own, and sends them again with
 * the same key while the answer says that this can help.
 */
export class Client {
  readonly name: string;
  readonly #bus: Bus;
  readonly #world: World;
  readonly #history: History;
  readonly #records: Records;
  #keys = 0;

  constructor(name: string, world: World, { nats, stream, records }: Services, history: History) {
    this.name = name;
    this.#world = world;
    this.#history = history;
    this.#records = records.open();
    const { clock } = world;
    this.#bus = createBus({
      connection: nats.connect(),
      events: stream.log,
      hosts: stream.directory,
      clock,
      log: simulatedLog(world),
    });
  }

  /** Creates a sandbox, from a snapshot when its name is that of one, and returns its id, whether it succeeded or not. */
  async create(wish: Partial<SandboxOptions> = {}): Promise<string> {
    const key = this.#key('create');
    const id = sandboxIdForKey(DEFAULT_TEAM_ID, key);
    const options = optionsOf(wish);
    const { create } = schedulerCommands;
    const copiedBy = this.#history.makersOf(options.template);
    await this.#carryOut(
      'create',
      id,
      (deadlineMs) =>
        this.#bus.request(
          `${SCHEDULER_SUBJECT}.create`,
          create,
          { team_id: DEFAULT_TEAM_ID, options, idempotency_key: key },
          { deadlineMs, unanswered: 'NO_HOST_AVAILABLE' },
        ),
      { copiedBy },
    );
    return id;
  }

  /** Forks a sandbox and returns the ids of the forks, whether they are there or not. */
  async fork(id: string, count: number): Promise<string[]> {
    const key = this.#key('fork');
    const request = {
      team_id: DEFAULT_TEAM_ID,
      sandbox_id: id,
      count,
      idempotency_key: key,
    };
    const ids = Array.from({ length: count }, (_, index) =>
      sandboxIdForKey(DEFAULT_TEAM_ID, `${key} fork ${index}`),
    );
    const fork = this.#history.begin(this.name, 'fork', id, this.#world.moment(), { memory: true });
    const creates = ids.map((one) =>
      this.#history.begin(this.name, 'create', one, fork.began, { copiedBy: [fork] }),
    );
    await this.#send(fork, (deadlineMs) =>
      this.#bus.request(`${SCHEDULER_SUBJECT}.fork`, schedulerCommands.fork, request, {
        deadlineMs,
        commandId: key,
        unanswered: 'SERVER_UNREACHABLE',
      }),
    );
    const { succeeded, ended, error } = fork;
    for (const create of creates) Object.assign(create, { succeeded, ended, error });
    return ids;
  }

  /** Makes a template of a sandbox. */
  async snapshot(
    id: string,
    body: { name: string; memory: boolean; overwrite?: boolean },
  ): Promise<Operation> {
    const key = this.#key('snapshot');
    const { name: template, memory, overwrite = false } = body;
    return await this.#carryOut(
      'snapshot',
      id,
      (deadlineMs) =>
        this.#bus.request(
          `${sandboxSubject(DEFAULT_TEAM_ID, id)}.snapshot`,
          sandboxCommands.snapshot,
          { name: template, memory, overwrite },
          { deadlineMs, commandId: key },
        ),
      { template, memory },
    );
  }

  /** Removes a template. @param refusal the error that this must be answered with, if it must */
  async removeSnapshot(template: string, refusal?: ErrorCode): Promise<Operation> {
    const key = this.#key('remove');
    return await this.#carryOut(
      'remove',
      '',
      (deadlineMs) =>
        this.#bus.request(
          `${hostSubject(HOST_ID)}.${hostCommands.deleteTemplate.name}`,
          hostCommands.deleteTemplate,
          { team_id: DEFAULT_TEAM_ID, name: template },
          { deadlineMs, commandId: key },
        ),
      { template, refusal },
    );
  }

  /** Sends a command and waits until its outcome is known, or nobody can say it any more. */
  async command(verb: 'pause' | 'resume' | 'restart' | 'destroy' | 'ping', id: string): Promise<Operation> {
    const key = this.#key(verb);
    return await this.#carryOut(verb, id, (deadlineMs) =>
      this.#bus.request(
        `${sandboxSubject(DEFAULT_TEAM_ID, id)}.${verb}`,
        sandboxCommands[verb],
        {},
        {
          deadlineMs,
          commandId: key,
        },
      ),
    );
  }

  /** Has the disk of a paused sandbox made larger. */
  async resize(id: string, diskSizeMb: number): Promise<Operation> {
    const key = this.#key('resize');
    return await this.#carryOut('resize', id, (deadlineMs) =>
      this.#bus.request(
        `${sandboxSubject(DEFAULT_TEAM_ID, id)}.resize`,
        sandboxCommands.resize,
        { disk_size_mb: diskSizeMb },
        { deadlineMs, commandId: key },
      ),
    );
  }

  /**
   * Sends a command and hangs up after so many milliseconds and turns of others, as a client does that has no patience. What becomes of the command
   * is not known then.
   */
  async hangUp(
    verb: 'create' | 'pause' | 'resume' | 'destroy',
    id: string,
    turns: number,
    afterMs = 0,
  ): Promise<string> {
    const leaving = new AbortController();
    const key = this.#key(verb);
    const sandboxId = id || sandboxIdForKey(DEFAULT_TEAM_ID, key);
    const operation = this.#history.begin(this.name, verb, sandboxId, this.#world.moment());
    const options = { deadlineMs: this.#soon(), signal: leaving.signal };
    const sent =
      verb === 'create'
        ? this.#bus.request(
            `${SCHEDULER_SUBJECT}.create`,
            schedulerCommands.create,
            { team_id: DEFAULT_TEAM_ID, options: optionsOf({}), idempotency_key: key },
            options,
          )
        : this.#bus.request(
            `${sandboxSubject(DEFAULT_TEAM_ID, id)}.${verb}`,
            sandboxCommands[verb],
            {},
            options,
          );
    const answered = sent.then(
      () => {
        operation.succeeded = true;
        operation.ended = this.#world.moment();
      },
      () => {},
    );
    if (afterMs > 0) await this.#world.clock.sleep(afterMs);
    for (let turn = this.#world.tape.choose(turns); turn < turns; turn += 1)
      await this.#world.turn('patience');
    leaving.abort(new Error('the client hangs up'));
    await answered;
    return sandboxId;
  }

  /** Waits until the sandbox is no longer running, as its timeout has it. Fails the run when that never comes. */
  async untilTimedOut(id: string): Promise<void> {
    const { clock, time } = this.#world;
    const subject = `${sandboxSubject(DEFAULT_TEAM_ID, id)}.get`;
    for (
      const end = time.monotonicMs + TIMEOUT_LIMIT_MS;
      time.monotonicMs < end;
      await clock.sleep(LOOK_MS)
    ) {
      try {
        const { state } = await this.#bus.request(
          subject,
          sandboxCommands.get,
          {},
          { deadlineMs: this.#soon() },
        );
        if (!/^(running|pausing|creating|destroying)$/.test(state)) return;
      } catch (error) {
        const code = error instanceof DormouseError ? error.code : 'INTERNAL';
        // Nobody answers for one that is gone. For one whose host is away as well, which the end of the run tells.
        if (code === 'HOST_UNREACHABLE' && this.#world.machines.of(id) === undefined) return;
      }
    }
    this.#world.violate(`${id} never times out`);
  }

  /** Has the guest write a number into its memory and to its disk. */
  async write(id: string, value: number): Promise<Operation> {
    return await this.#exec('write', id, ['write', String(value)], value);
  }

  /** Has the guest power itself off. */
  async powerOff(id: string): Promise<void> {
    await this.#bus
      .request(
        `${sandboxSubject(DEFAULT_TEAM_ID, id)}.exec`,
        sandboxCommands.exec,
        { argv: ['poweroff'] },
        { deadlineMs: this.#soon() },
      )
      .catch(() => {});
    await this.#world.clock.sleep(FIRST_PAUSE_MS);
  }

  async read(id: string): Promise<Operation> {
    return await this.#exec('read', id, ['read'], undefined);
  }

  /** A request of another team for the same sandbox: it must reach nobody. */
  async intrude(id: string): Promise<void> {
    const other = '00000000-0000-4000-8000-00000000000f';
    await this.#bus
      .request(
        `${sandboxSubject(other, id)}.destroy`,
        sandboxCommands.destroy,
        {},
        { deadlineMs: this.#soon() },
      )
      .then(
        () => this.#world.violate(`a request of another team reached ${id}`),
        () => {},
      );
  }

  sleep(ms: number): Promise<void> {
    return this.#world.clock.sleep(ms);
  }

  async #exec(
    verb: 'write' | 'read',
    id: string,
    argv: string[],
    value: number | undefined,
  ): Promise<Operation> {
    const key = this.#key(verb);
    return await this.#carryOut(
      verb,
      id,
      (deadlineMs) =>
        this.#bus.request(
          `${sandboxSubject(DEFAULT_TEAM_ID, id)}.exec`,
          sandboxCommands.exec,
          { argv },
          { deadlineMs, commandId: key },
        ),
      { value },
    );
  }

  async #carryOut(
    verb: Verb,
    id: string,
    send: (deadlineMs: number) => Promise<unknown>,
    more: Partial<Operation> = {},
  ): Promise<Operation> {
    const operation = this.#history.begin(this.name, verb, id, this.#world.moment(), more);
    return await this.#send(operation, send);
  }

  /** Sends what the operation is, again and again while that can help, and notes its outcome. */
  async #send(operation: Operation, send: (deadlineMs: number) => Promise<unknown>): Promise<Operation> {
    const { clock } = this.#world;
    const { verb, sandboxId: id } = operation;
    for (let tries = 1; ; tries += 1) {
      try {
        const reply = (await send(this.#soon())) as { stdout?: string } & SandboxView;
        this.#world.note(`${this.name}: ${verb} answered`);
        operation.succeeded = true;
        operation.ended = this.#world.moment();
        if (reply.stdout !== undefined) {
          const [memory = 0, disk = 0] = reply.stdout.split(' ').map(Number);
          operation.read = { memory, disk };
        } else operation.view = reply;
        return operation;
      } catch (error) {
        const code = await this.#asTheEdgeSays(id, error);
        this.#world.note(`${this.name}: ${verb} ${code}`);
        operation.error = code;
        // The edge answers the destroy of one that is gone with its record, and so it does with a template.
        const isGone = `${verb} ${code}` === 'destroy SANDBOX_NOT_FOUND' || code === 'TEMPLATE_NOT_FOUND';
        if (isGone && /^(destroy|remove)$/.test(verb) && tries > 1) {
          operation.succeeded = true;
          operation.ended = this.#world.moment();
          return operation;
        }
        if (catalogue[code].answer !== 'retry') {
          operation.ended = this.#world.moment();
          return operation;
        }
        if (tries === TRIES) return operation;
        await clock.sleep(FIRST_PAUSE_MS * 2 ** Math.min(tries, 4));
      }
    }
  }

  /** When nobody answers, the records tell whether there is nobody. */
  async #asTheEdgeSays(id: string, error: unknown): Promise<ErrorCode> {
    const code = error instanceof DormouseError ? error.code : 'INTERNAL';
    if (code !== 'HOST_UNREACHABLE' || id === '') return code;
    const view = await this.#records.findSandbox(DEFAULT_TEAM_ID, id).catch(() => 'away' as const);
    if (view === 'away') return 'RECORDS_UNAVAILABLE';
    return view && !/^(destroyed|failed)$/.test(view.state) ? code : 'SANDBOX_NOT_FOUND';
  }

  #key(verb: string): string {
    this.#keys += 1;
    return `${this.name}-${verb}-${this.#keys}`;
  }

  #soon(): number {
    return this.#world.clock.nowMs() + DEADLINE_MS;
  }
}

function optionsOf(wish: Partial<SandboxOptions>): SandboxOptions {
  return {
    template: TEMPLATE,
    vcpus: SHAPE.vcpus,
    memory_mb: SHAPE.memoryMb,
    disk_size_mb: DISK_MB,
    timeout_s: 0,
    on_timeout: 'pause',
    auto_resume: false,
    ...wish,
  };
}
