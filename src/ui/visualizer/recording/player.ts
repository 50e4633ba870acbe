import { computed, effect, type ReadonlySignal, type Signal, signal } from '@preact/signals';
import type { Frame, Recording } from '../../../machines/recording.ts';
import type { ActorKind, Inspection } from '../../lib/types.ts';
import type { Travel } from '../actor/travel.ts';
import type { Entries } from '../history/entries.ts';

/** An actor that a recording tells of. */
export interface RecordedActor {
  /** Kind and id. */
  key: string;
  kind: ActorKind;
  id: string;
  entries: Entries;
  /** Indexes of the frames that tell of it, one for each entry. */
  frames: readonly number[];
}

/** A recording, and the frame that is looked at. */
export interface Player {
  recording: Recording;
  actors: readonly RecordedActor[];
  /** Index of the frame; there is always one, except in an empty recording. */
  frame: ReadonlySignal<number>;
  /** Key of the actor that is looked at. */
  chosen: Signal<string | null>;
  /** Whether it goes on by itself. */
  isPlaying: ReadonlySignal<boolean>;
  goTo(frame: number): void;
  /** Index of the next frame in which something went wrong; undefined when none comes. */
  nextTrouble: ReadonlySignal<number | undefined>;
  play(isOn: boolean): void;
  /** Ends the playing. */
  close(): void;
}

/** Time between two frames while it plays. */
const FRAME_MS = 350;

/** @param every calls again and again; it returns what ends that */
export function playerOf(
  recording: Recording,
  every: (ms: number, act: () => void) => () => void = repeat,
): Player {
  const last = Math.max(0, recording.frames.length - 1);
  const frame = signal(0);
  const isPlaying = signal(false);
  const actors = actorsOf(recording.frames);
  const troubles = recording.frames.flatMap((one, index) => (isTrouble(one) ? [index] : []));
  const close = effect(() => {
    if (!isPlaying.value) return undefined;
    return every(FRAME_MS, () => {
      if (frame.value < last) frame.value += 1;
      else isPlaying.value = false;
    });
  });
  return {
    recording,
    actors,
    frame,
    isPlaying,
    nextTrouble: computed(() => troubles.find((index) => index > frame.value)),
    chosen: signal(worstOf(actors)?.key ?? null),
    goTo(to) {
      isPlaying.value = false;
      frame.value = Math.min(Math.max(to, 0), last);
    },
    play(isOn) {
      // From the end it begins again.
      if (isOn && frame.peek() >= last) frame.value = 0;
      isPlaying.value = isOn;
    },
    close,
  };
}

/** The history of an actor, looked at where the player stands. */
export function travelOf(player: Player, { entries, frames }: RecordedActor): Travel {
  return {
    index: computed(() => frames.findLastIndex((frame) => frame <= player.frame.value)),
    isLive: computed(() => false),
    goTo(to) {
      const frame = frames[Math.min(Math.max(to, 0), entries.length - 1)];
      if (frame !== undefined) player.goTo(frame);
    },
    goLive() {
      player.goTo(player.recording.frames.length - 1);
    },
  };
}

/** A fault, an error, or something that must not be. */
function isTrouble({ mark, inspection }: Frame): boolean {
  return mark !== undefined || (inspection?.error ?? null) !== null;
}

function actorsOf(frames: readonly Frame[]): RecordedActor[] {
  const actors = new Map<string, { kind: ActorKind; id: string; entries: Inspection[]; frames: number[] }>();
  for (const [index, { inspection }] of frames.entries()) {
    if (!inspection) continue;
    const { kind, id } = inspection;
    const key = `${kind} ${id}`;
    const actor = actors.get(key) ?? { kind, id, entries: [], frames: [] };
    actor.entries.push(inspection);
    actor.frames.push(index);
    actors.set(key, actor);
  }
  return [...actors].map(([key, actor]) => ({ key, ...actor }));
}

/** The actor that is looked at first: a sandbox, and of these the one with the most errors. */
function worstOf(actors: readonly RecordedActor[]): RecordedActor | undefined {
  const errors = ({ entries }: RecordedActor): number => entries.filter(({ error }) => error !== null).length;
  const rank = (actor: RecordedActor): number => errors(actor) + (actor.kind === 'sandbox' ? 1_000_000 : 0);
  return actors.toSorted((a, b) => rank(b) - rank(a))[0];
}

function repeat(ms: number, act: () => void): () => void {
  const timer = setInterval(act, ms);
  return () => clearInterval(timer);
}
