import type { Inspected, Inspector } from '../actors/system/inspect.ts';
import type { Inspection } from '../actors/system/inspection.ts';
import type { Clock } from '../clock.ts';
import { messageOf } from '../errors/index.ts';
import type { Logger } from '../log.ts';
import { encodeBody } from './envelope.ts';
import { inspectSubject, SANDBOX_WATCH_SUBJECTS, type WatchTarget, watchSubject } from './subjects.ts';
import type { Bus } from './types.ts';
import { WATCH_LEASE_MS } from './watch.ts';

/** Most targets that are known to be looked at; beyond that the one that was named longest ago is forgotten. */
const LEASES_MAX = 4_096;
/** How many occurrences of the host and of its loop registry are remembered, each. */
const RECENT_MAX = 200;
/** No subject of a target is longer. What is, nobody of ours has sent. */
const SUBJECT_CHARS_MAX = 128;

/**
 * Publishes what happens to the actors of a host, to those who said that they look (`watch.ts`). As long as nobody does, an
 * occurrence costs one comparison, and nothing is made of it.
 *
 * The last ones of the host and of its loop registry are remembered, since these two have no history anywhere. What is shown of
 * them is made when somebody asks.
 */
export class BusInspector implements Inspector {
  readonly #bus: Pick<Bus, 'publish' | 'subscribe'>;
  readonly #clock: Pick<Clock, 'monotonicMs'>;
  readonly #log: Logger;
  /** Subjects of the notes, with the time at which each is over. Those that end first come first. */
  readonly #leases = new Map<string, number>();
  readonly #recent = { host: [] as Array<() => Inspection>, 'loop-registry': [] as Array<() => Inspection> };

  constructor(
    bus: Pick<Bus, 'publish' | 'subscribe'>,
    ports: { clock: Pick<Clock, 'monotonicMs'>; log: Logger },
  ) {
    this.#bus = bus;
    this.#clock = ports.clock;
    this.#log = ports.log;
  }

  /** Listens to those who look at this host or at any sandbox: which of them are here changes meanwhile. */
  listen(hostId: string): { close(): void } {
    const subjects = [
      SANDBOX_WATCH_SUBJECTS,
      watchSubject({ kind: 'host', hostId }),
      watchSubject({ kind: 'loop-registry', hostId }),
    ];
    const subscriptions = subjects.map((subject) =>
      this.#bus.subscribe(subject, (_payload, named) => this.#lease(named)),
    );
    return {
      close: () => {
        for (const subscription of subscriptions) subscription.close();
      },
    };
  }

  happened(actor: Inspected, look: () => Inspection): void {
    if (actor.kind !== 'sandbox') remember(this.#recent[actor.kind], look);
    if (this.#leases.size === 0) return;
    try {
      if (this.#isWatched(actor)) this.#bus.publish(inspectSubject(actor), encodeBody(look()));
    } catch (error) {
      this.#log.warn({ err: messageOf(error), actor }, 'what happened to an actor could not be shown');
    }
  }

  /** What happened to the host or its loop registry last, oldest first. */
  recent(kind: Exclude<Inspected['kind'], 'sandbox'>): Inspection[] {
    return this.#recent[kind].map((look) => look());
  }

  #lease(subject: string): void {
    if (subject.length > SUBJECT_CHARS_MAX) return;
    this.#leases.delete(subject);
    this.#leases.set(subject, this.#clock.monotonicMs() + WATCH_LEASE_MS);
    for (const [oldest] of this.#leases) {
      if (this.#leases.size <= LEASES_MAX) break;
      this.#leases.delete(oldest);
    }
  }

  #isWatched(actor: Inspected): boolean {
    const nowMs = this.#clock.monotonicMs();
    for (const [subject, endsMs] of this.#leases) {
      if (endsMs > nowMs) break;
      this.#leases.delete(subject);
    }
    return targetsOf(actor).some((target) => this.#leases.has(watchSubject(target)));
  }
}

/** The targets that somebody who looks at the actor may have named. */
function targetsOf(actor: Inspected): WatchTarget[] {
  return actor.kind === 'sandbox' ? [actor, { ...actor, id: 'all' }] : [actor];
}

function remember(looks: Array<() => Inspection>, look: () => Inspection): void {
  looks.push(look);
  if (looks.length > RECENT_MAX) looks.shift();
}
