import type { Msg, MsgHdrs, NatsConnection } from '@nats-io/transport-node';
import type { Connection } from '../../../src/bus/connection.ts';
import type { BusStatus } from '../../../src/bus/types.ts';
import { boundHere, here, type Process } from '../world/process.ts';
import type { World } from '../world/world.ts';

interface Subscriber {
  process: Process;
  subject: string[];
  queue: string | undefined;
  deliver(message: Msg): void;
}

/** How late a late message is, and how long the server is away, in milliseconds. */
const LATE_MS = 3_000;
const AWAY_MS = 5_000;

/** A NATS server, as the client library shows it: subjects, queue groups, replies, and that nobody listens. */
export class SimulatedNats {
  readonly #world: World;
  readonly #subscribers = new Set<Subscriber>();
  readonly #changed = new Set<(status: BusStatus) => void>();
  #status: BusStatus = 'connected';

  constructor(world: World) {
    this.#world = world;
  }

  get isAway(): boolean {
    return this.#status !== 'connected';
  }

  /** A connection of the process that asks. Its subscriptions go with it. */
  connect(): Connection {
    const { process } = here();
    const mine = new Set<(status: BusStatus) => void>();
    process.atDeath(() => {
      for (const each of this.#subscribers) if (each.process === process) this.#subscribers.delete(each);
      for (const each of mine) this.#changed.delete(each);
    });
    return {
      nc: this.#client(process) as unknown as NatsConnection,
      status: () => this.#status,
      onStatus: (changed) => {
        const bound = boundHere(changed);
        mine.add(bound);
        this.#changed.add(bound);
        return () => void this.#changed.delete(bound);
      },
    };
  }

  /** The server goes away and comes back: what is on its way is lost. */
  goAway(): void {
    if (this.isAway) return;
    this.#become('disconnected');
    this.#world.keeper.run(() => this.#world.clock.after(AWAY_MS, () => this.#become('connected')));
  }

  #become(status: BusStatus): void {
    this.#world.note(`the bus is ${status}`);
    this.#status = status;
    for (const changed of [...this.#changed]) changed(status);
  }

  #client(process: Process) {
    return {
      info: { max_payload: 1_048_576 },
      subscribe: (
        subject: string,
        { callback, queue }: { callback(error: null, message: Msg): void; queue?: string },
      ) => {
        const subscriber: Subscriber = {
          process,
          subject: subject.split('.'),
          queue,
          deliver: boundHere((message: Msg) => callback(null, message)),
        };
        if (!process.isDead) this.#subscribers.add(subscriber);
        const unsubscribe = (): void => void this.#subscribers.delete(subscriber);
        return { unsubscribe, drain: async () => unsubscribe() };
      },
      publish: (
        subject: string,
        data: Uint8Array = new Uint8Array(),
        { reply, headers }: { reply?: string; headers?: MsgHdrs } = {},
      ) => {
        if (!process.isDead) this.#publish(subject, data, reply, headers);
      },
      flush: async () => {},
      drain: async () => {},
      close: async () => {},
    };
  }

  #publish(subject: string, data: Uint8Array, reply?: string, headers?: MsgHdrs): void {
    const matching = [...this.#subscribers].filter((each) => matches(each.subject, subject.split('.')));
    if (matching.length === 0) {
      if (reply) this.#publish(reply, new Uint8Array(), undefined, { code: 503 } as MsgHdrs);
      return;
    }
    const groups = Map.groupBy(matching, ({ queue }) => queue ?? '');
    for (const [queue, members] of groups) {
      const chosen = queue === '' ? members : members.slice(0, 1);
      for (const subscriber of chosen) this.#send(subscriber, subject, data, reply, headers);
    }
  }

  #send(to: Subscriber, subject: string, data: Uint8Array, reply?: string, headers?: MsgHdrs): void {
    const label = `message ${shortened(subject)}`;
    const message = { subject, data, reply, headers, respond: () => {} } as unknown as Msg;
    const deliver = (): void => {
      if (!this.isAway && this.#subscribers.has(to)) to.deliver(message);
    };
    const inTurn = (): void => {
      void this.#world.keeper.run(async () => {
        await this.#world.turn(label);
        this.#world.note(label);
        deliver();
      });
    };
    const fault = this.#world.faults.next('message', label, here().step ?? 'bus');
    if (fault) this.#world.note(`${label}: ${fault}`);
    if (fault === 'lost') return;
    if (fault === 'bus away') {
      this.goAway();
      return;
    }
    if (fault === 'late' || fault === 'again later')
      this.#world.keeper.run(() => this.#world.clock.after(LATE_MS, inTurn));
    if (fault !== 'late') inTurn();
    if (fault === 'twice') inTurn();
  }
}

function matches(pattern: readonly string[], subject: readonly string[]): boolean {
  for (const [at, token] of pattern.entries()) {
    if (token === '>') return subject.length > at;
    if (subject[at] === undefined || (token !== '*' && token !== subject[at])) return false;
  }
  return pattern.length === subject.length;
}

/** Without what is different in each run. */
function shortened(subject: string): string {
  return subject.startsWith('_INBOX')
    ? 'reply'
    : subject.replace(/^dormouse\./, '').replace(/_INBOX\.\S+/, '…');
}
