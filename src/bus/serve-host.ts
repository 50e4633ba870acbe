import { type Host, hostCommands } from '../actors/host/index.ts';
import type { LoopRegistry } from '../actors/loop-registry/index.ts';
import { sandboxCommands } from '../actors/sandbox/protocol.ts';
import { MACHINE_COMMANDS, type Sandbox } from '../actors/sandbox/sandbox.ts';
import type { Clock } from '../clock.ts';
import { DormouseError, messageOf } from '../errors/index.ts';
import type { Logger } from '../log.ts';
import type { BusInspector } from './inspector.ts';
import { inspectionEndpoints } from './serve-inspection.ts';
import { hostSubject, ioSubject, sandboxSubject } from './subjects.ts';
import { type Bus, endpoint, type Responder, type ServiceEndpoint } from './types.ts';

/** Between a host's actors and the bus: a subscription for each sandbox, a service for the host, its directory entry. */

/** How often a host writes its directory entry again, in milliseconds; the entry lives three times as long and more. */
const ANNOUNCE_MS = 4_000;
/** Changes that follow one another this quickly are announced together, in milliseconds. */
const SETTLE_MS = 200;
/** Requests that one sandbox answers at the same time; most are programs that run. */
const SANDBOX_IN_FLIGHT = 64;

/** How long a host that stops waits for programs that run, in milliseconds. Its sandboxes take no commands meanwhile. */
const PROGRAMS_GRACE_MS = 10_000;

/** What a host does with a sandbox that the sandbox cannot do itself. */
type Operations = Pick<Host, 'snapshot' | 'fork'>;

/** Gives sandboxes their address while they are active. */
export class SandboxSubjects {
  readonly #bus: Bus;
  readonly #clock: Clock;
  #host: Operations | undefined;
  readonly #responders = new Map<string, Responder>();
  readonly #leaving = new AbortController();

  constructor(bus: Bus, clock: Clock) {
    this.#bus = bus;
    this.#clock = clock;
  }

  /** Names the host that keeps the sandboxes. They may appear before it has started, and then take no `snapshot` and `fork` yet. */
  attach(host: Operations): void {
    this.#host = host;
  }

  readonly appeared = (sandbox: Sandbox): void => {
    const commands = MACHINE_COMMANDS.map((name) =>
      endpoint(sandboxCommands[name], (body, context) => sandbox.command(name, body, context)),
    );
    const endpoints: ServiceEndpoint[] = [
      ...commands,
      endpoint(sandboxCommands.get, async () => sandbox.view()),
      endpoint(sandboxCommands.inspect, async () => sandbox.inspection()),
      endpoint(sandboxCommands.exec, (body, context) =>
        sandbox.exec(body, { ...context, signal: AbortSignal.any([context.signal, this.#leaving.signal]) }),
      ),
      endpoint(sandboxCommands.snapshot, async (body, context) =>
        this.#started().snapshot(sandbox, body, context),
      ),
      endpoint(sandboxCommands.fork, async (body, context) => this.#started().fork(sandbox, body, context)),
    ];
    this.#responders.set(
      sandbox.id,
      this.#bus.serveAll(sandboxSubject(sandbox.context.teamId, sandbox.id), endpoints, {
        maxInFlight: SANDBOX_IN_FLIGHT,
      }),
    );
  };

  readonly vanished = (sandbox: Sandbox): void => {
    const responder = this.#responders.get(sandbox.id);
    this.#responders.delete(sandbox.id);
    void responder?.close();
  };

  /** Bytes of a running program, for whoever listens. */
  readonly output = (commandId: string, stream: 'stdout' | 'stderr', bytes: Uint8Array): void => {
    if (/^[A-Za-z0-9_-]{1,128}$/.test(commandId)) this.#bus.publish(ioSubject(commandId, stream), bytes);
  };

  #started(): Operations {
    if (!this.#host) throw new DormouseError('HOST_UNREACHABLE', 'The host of the sandbox is starting.');
    return this.#host;
  }

  /**
   * Takes nothing more and waits for what is at work. An operation ends by its steps; a program may run for an hour, so who
   * waits for one is told after a grace to ask again. The program goes on, and the same command id attaches to it.
   */
  async close(): Promise<void> {
    const grace = this.#clock.after(PROGRAMS_GRACE_MS, () =>
      this.#leaving.abort(
        new DormouseError(
          'HOST_DRAINING',
          'The host stops. The program goes on in the sandbox; send the command again with the same key to wait for it.',
          { data: { begun: true } },
        ),
      ),
    );
    await Promise.all([...this.#responders.values()].map((responder) => responder.close()));
    grace.cancel();
  }
}

/** Tells the one that keeps the directory's entry that there is something new to say. */
export class Changes {
  #changed = new AbortController();

  readonly mark = (): void => this.#changed.abort();

  /** Resolves at the first mark since the last call, and after `limitMs` without one. */
  async next(limitMs: number, clock: Clock, signal: AbortSignal): Promise<void> {
    await clock.sleep(limitMs, AbortSignal.any([signal, this.#changed.signal])).catch(() => {});
    this.#changed = new AbortController();
  }
}

/** Serves the host's own commands and keeps its entry in the directory. */
export async function serveHost(
  bus: Bus,
  { host, loops, inspector }: { host: Host; loops: LoopRegistry; inspector: BusInspector },
  ports: { clock: Clock; log: Logger },
  changes: Changes,
): Promise<Responder> {
  const announce = async (): Promise<void> => {
    try {
      await bus.hosts.announce(await host.info());
    } catch (error) {
      ports.log.warn({ err: messageOf(error) }, 'the host could not be announced');
    }
  };
  const responder = await bus.service(
    hostSubject(host.id),
    [
      endpoint(hostCommands.create, (body, context) => host.create(body, context)),
      endpoint(hostCommands.info, () => host.info()),
      endpoint(hostCommands.sandboxes, async () => ({
        sandboxes: host.sandboxes().map((sandbox) => ({
          id: sandbox.id,
          team_id: sandbox.context.teamId,
          state: sandbox.view().state,
        })),
      })),
      endpoint(hostCommands.drain, async (_, context) => {
        const info = await host.drain(context);
        await announce();
        return info;
      }),
      endpoint(hostCommands.upload, (body) => host.upload(body)),
      endpoint(hostCommands.discardUpload, (body) => host.discardUpload(body)),
      endpoint(hostCommands.buildTemplate, (body, context) => host.buildTemplate(body, context)),
      endpoint(hostCommands.template, (body) => host.template(body)),
      endpoint(hostCommands.deleteTemplate, (body) => host.deleteTemplate(body)),
      ...inspectionEndpoints(host, loops, inspector),
    ],
    {
      name: 'dormouse-host',
      description: 'Keeps the sandboxes of one machine',
      metadata: { host: host.id },
      maxInFlight: 256,
    },
  );
  await announce();
  const stopping = new AbortController();
  const announcing = (async () => {
    while (!stopping.signal.aborted) {
      await changes.next(ANNOUNCE_MS, ports.clock, stopping.signal);
      await ports.clock.sleep(SETTLE_MS, stopping.signal).catch(() => {});
      if (!stopping.signal.aborted) await announce();
    }
  })();
  return {
    async close() {
      stopping.abort();
      await announcing;
      await bus.hosts.withdraw(host.id).catch(() => {});
      // A build may take half an hour, which a request under way would be waited for.
      await host.stopMaking();
      await responder.close();
    },
  };
}
