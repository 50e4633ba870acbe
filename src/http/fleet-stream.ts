import { eventStream } from '../../nats/streams.ts';
import type { SandboxTransition } from '../actors/sandbox/protocol.ts';
import { watchInspections } from '../bus/watch.ts';
import { messageOf } from '../errors/index.ts';
import type { EventStream } from './event-stream.ts';
import { encodePosition, FLEET_MAX, type FleetPosition, presentChange } from './fleet.ts';
import type { EdgePorts } from './ports.ts';

/** How often the records are asked for what no host tells, in milliseconds. */
const LOST_EVERY_MS = 15_000;
/** How much further back they are asked, in milliseconds: clocks differ, and a row is there a moment after its time. */
const LOST_OVERLAP_MS = 60_000;
/**
 * How far back they are asked at all, in milliseconds: as long as events are kept. Who comes with an older position is told to read
 * the fleet anew.
 */
const LOST_AGE_MS_MAX = Number(eventStream.max_age) / 1_000_000;
/** As many as the fleet has: a host may lose all of them at once. */
const LOST_MAX = FLEET_MAX;

/**
 * Sends what happens to the sandboxes of a team from a position on, until nobody reads any more:
 *
 * - `transition`, a `FleetChange`, each with an id to go on from. One may come twice; `seq` tells.
 * - `refused`, a command that a state did not take, `{id, state, command, at}`. Those that are missed do not come again.
 * - `reset`, when not all that came after the position is there any more: the fleet has to be read anew. It is the last one.
 */
export async function followFleet(
  { bus, records, clock, log }: Pick<EdgePorts, 'bus' | 'records' | 'clock' | 'log'>,
  teamId: string,
  from: FleetPosition,
  stream: EventStream,
): Promise<void> {
  const { signal } = stream;
  let { streamSeq } = from;
  const send = (transition: SandboxTransition): void =>
    stream.send({
      event: 'transition',
      id: encodePosition({ streamSeq, atMs: clock.nowMs() }),
      data: presentChange(transition),
    });

  const watch = watchInspections(bus, clock, { kind: 'sandbox', teamId, id: 'all' }, (inspection) => {
    const { id, to: state, refused: command, at } = inspection;
    if (command !== null && stream.hasRoom)
      stream.send({ event: 'refused', data: { id, state, command, at } });
  });
  const lost = tellLost();
  try {
    const isAll = await bus.events.follow(
      teamId,
      streamSeq,
      async (event) => {
        streamSeq = event.streamSeq;
        send(event.transition);
        await stream.ready();
      },
      signal,
    );
    if (!isAll) stream.send({ event: 'reset', data: {} });
  } finally {
    watch.close();
    stream.end();
    await lost;
  }

  /** Sandboxes that were inferred to be lost are in the records only. */
  async function tellLost(): Promise<void> {
    let sinceMs = Math.max(from.atMs, clock.nowMs() - LOST_AGE_MS_MAX);
    let told = new Set<string>();
    while (!signal.aborted) {
      const nowMs = clock.nowMs();
      try {
        const since = new Date(Math.min(sinceMs, nowMs) - LOST_OVERLAP_MS);
        const lost = await records.lostSince(teamId, since, LOST_MAX);
        for (const transition of lost) {
          if (told.has(keyOf(transition))) continue;
          send(transition);
          await stream.ready();
        }
        told = new Set(lost.map(keyOf));
        sinceMs = nowMs;
      } catch (error) {
        log.debug({ reason: messageOf(error) }, 'lost sandboxes cannot be asked for now');
      }
      await clock.sleep(LOST_EVERY_MS, signal).catch(() => undefined);
    }
  }
}

function keyOf({ sandbox_id, seq }: SandboxTransition): string {
  return `${sandbox_id} ${seq}`;
}
