import type { HostInfo } from '../../../src/actors/host/protocol.ts';
import { SandboxTransition } from '../../../src/actors/sandbox/protocol.ts';
import { problemsOf } from '../../../src/bus/schema.ts';
import type { EventLog, HostDirectory } from '../../../src/bus/types.ts';
import { DormouseError } from '../../../src/errors/index.ts';
import { here, never } from '../world/process.ts';
import type { World } from '../world/world.ts';
import type { SimulatedNats } from './nats.ts';

/** As the stream's configuration says: how long it knows the ids of messages, in milliseconds. */
const DUPLICATES_MS = 120_000;
/** As the bucket of hosts: how long an entry lives that is not written again, in milliseconds. */
const HOST_TTL_MS = 15_000;

const unavailable = (): DormouseError =>
  new DormouseError('BUS_UNAVAILABLE', 'The simulation made the stream unavailable.');

/** JetStream: the stream of events and the bucket of hosts. Both are the server's, and outlive everybody else. */
export class SimulatedStream {
  readonly events: SandboxTransition[] = [];
  readonly #world: World;
  readonly #nats: SimulatedNats;
  readonly #seen = new Map<string, number>();
  readonly #hosts = new Map<string, { info: HostInfo; untilMs: number }>();
  readonly #positions = new Map<string, number>();
  #appended: Array<() => void> = [];

  constructor(world: World, nats: SimulatedNats) {
    this.#world = world;
    this.#nats = nats;
  }

  readonly log: EventLog = {
    append: async (transition) => {
      const id = `${transition.sandbox_id}:${transition.seq}`;
      await this.#world.turn(`append ${id}`);
      if (this.#nats.isAway) throw unavailable();
      const fault = this.#world.faults.next('stream', `append ${transition.to}`, 'outbox');
      this.#world.note(`stream: ${transition.to} ${fault ?? ''}`);
      if (fault === 'refused') throw unavailable();
      const problems = problemsOf(SandboxTransition, JSON.parse(JSON.stringify(transition)));
      if (problems.length > 0)
        this.#world.violate(`an event does not fit its schema: ${JSON.stringify(problems)}`);
      const now = this.#world.time.monotonicMs;
      if (now - (this.#seen.get(id) ?? Number.NEGATIVE_INFINITY) > DUPLICATES_MS) {
        this.#seen.set(id, now);
        this.events.push(transition);
        for (const wake of this.#appended.splice(0)) wake();
      }
      if (fault === 'acknowledgement lost') throw unavailable();
    },
    consume: async (durable, handle, signal) => {
      while (!signal.aborted && !here().process.isDead) {
        const at = this.#positions.get(durable) ?? 0;
        const transition = this.events[at];
        if (!transition) {
          await new Promise<void>((resolve) => this.#appended.push(resolve));
          continue;
        }
        await this.#world.turn('deliver event');
        let retryMs = 0;
        await handle({
          transition,
          streamSeq: at + 1,
          ack: async () =>
            void this.#positions.set(durable, Math.max(at + 1, this.#positions.get(durable) ?? 0)),
          retry: (delayMs) => {
            retryMs = delayMs;
          },
        });
        if (retryMs > 0) await this.#world.clock.sleep(retryMs, signal).catch(() => {});
      }
      if (here().process.isDead) return never();
    },
    handled: async (durable) => this.#positions.get(durable) ?? 0,
    follow: async (teamId, afterStreamSeq, handle, signal) => {
      for (let at = afterStreamSeq; !signal.aborted; ) {
        const transition = this.events[at];
        at += transition ? 1 : 0;
        if (!transition) await new Promise<void>((resolve) => this.#appended.push(resolve));
        else if (transition.team_id === teamId) await handle({ transition, streamSeq: at });
      }
      return true;
    },
  };

  readonly directory: HostDirectory = {
    announce: async (info) => {
      if (this.#nats.isAway) throw unavailable();
      if (here().process.isDead) return never();
      this.#hosts.set(info.host_id, { info, untilMs: this.#world.time.monotonicMs + HOST_TTL_MS });
    },
    withdraw: async (hostId) => {
      if (this.#nats.isAway) throw unavailable();
      this.#hosts.delete(hostId);
    },
    list: async () => {
      if (this.#nats.isAway) throw unavailable();
      return [...this.#hosts.values()]
        .filter(({ untilMs }) => untilMs > this.#world.time.monotonicMs)
        .map(({ info }) => info);
    },
  };
}
