import { computed, useComputed } from '@preact/signals';
import type { JSX } from 'preact';
import { useEffect, useMemo, useState } from 'preact/hooks';
import type { MachineDrawing } from '../../../machines/drawing.ts';
import { ApiError, type Problem } from '../../lib/api.ts';
import { count, duration } from '../../lib/format.ts';
import type { ActorKind } from '../../lib/types.ts';
import { ProblemNote } from '../../parts/problem.tsx';
import { ActorView } from '../actor/actor-view.tsx';
import { modelOf } from '../actor/model.ts';
import { drawingOf } from '../drawings.ts';
import { type Player, type RecordedActor, travelOf } from './player.ts';
import { Story } from './story.tsx';

/** A recording with its controls: what was wrong, the story, and one of its actors. */
export function PlayerView({ player }: { player: Player }): JSX.Element {
  const chosen = useComputed(() => player.actors.find(({ key }) => key === player.chosen.value));
  useKeys(player);
  const { scenario, seed, faults, violations } = player.recording;
  return (
    <>
      <div class="recording-facts">
        <p>
          <b>{scenario}</b>
          {seed !== undefined && <span class="mono quiet"> seed {seed}</span>}
        </p>
        <ul class="violations" data-panel="violations">
          {violations.map((text, at) => (
            <li key={at}>✕ {text}</li>
          ))}
          {violations.length === 0 && <li class="is-well">Nothing was violated.</li>}
        </ul>
        <ul class="faults" aria-label="Faults">
          {faults.map(({ class: kind, at, kind: what }) => (
            <li key={`${kind} ${at}`} class="mono">
              ⚡ {kind}:{at} {what}
            </li>
          ))}
        </ul>
      </div>
      <Controls player={player} />
      <Story player={player} />
      {chosen.value ? (
        <Recorded key={chosen.value.key} player={player} actor={chosen.value} />
      ) : (
        <p class="empty">No actor has done anything.</p>
      )}
    </>
  );
}

function Controls({ player }: { player: Player }): JSX.Element {
  const { frame, goTo, play, isPlaying, recording, actors, chosen } = player;
  const last = Math.max(0, recording.frames.length - 1);
  const at = recording.frames[frame.value];
  return (
    <section class="player" aria-label="Player">
      <button type="button" aria-label="To the beginning" onClick={() => goTo(0)}>
        |◂
      </button>
      <button type="button" aria-label="One back" title="One back (←)" onClick={() => goTo(frame.peek() - 1)}>
        ◂
      </button>
      <button type="button" class="player-play" onClick={() => play(!isPlaying.peek())}>
        {isPlaying.value ? 'Stop' : 'Play'}
      </button>
      <button type="button" aria-label="One on" title="One on (→)" onClick={() => goTo(frame.peek() + 1)}>
        ▸
      </button>
      <button type="button" aria-label="To the end" onClick={() => goTo(last)}>
        ▸|
      </button>
      <button
        type="button"
        title="To the next fault, error or violation"
        disabled={player.nextTrouble.value === undefined}
        onClick={() => goTo(player.nextTrouble.peek() ?? last)}
      >
        Next ✕
      </button>
      <input
        type="range"
        aria-label="Frame"
        aria-valuetext={at ? `${duration(at.at_ms)}: ${at.text ?? ''}` : 'none'}
        min={0}
        max={last}
        value={frame}
        onInput={(event) => goTo(event.currentTarget.valueAsNumber)}
      />
      <span class="mono player-time">
        {count(frame.value + 1)} of {count(last + 1)} · {duration(at?.at_ms ?? 0)}
      </span>
      <select
        aria-label="Actor"
        value={chosen.value ?? ''}
        onChange={(event) => {
          chosen.value = event.currentTarget.value;
        }}
      >
        {actors.map(({ key, entries }) => (
          <option key={key} value={key}>
            {key} ({entries.length})
          </option>
        ))}
      </select>
    </section>
  );
}

function Recorded({ player, actor }: { player: Player; actor: RecordedActor }): JSX.Element {
  const [drawing, setDrawing] = useState<MachineDrawing>();
  const [problem, setProblem] = useState<Problem>();
  useEffect(() => {
    drawingOf(actor.kind).then(setDrawing, (error: unknown) => {
      if (!(error instanceof ApiError)) throw error;
      setProblem(error.problem);
    });
  }, [actor.kind]);
  if (problem) return <ProblemNote problem={problem} />;
  return drawing ? (
    <RecordedView {...{ player, actor, drawing }} kind={actor.kind} />
  ) : (
    <p class="empty">The machine is being drawn…</p>
  );
}

function RecordedView({
  player,
  actor,
  drawing,
  kind,
}: {
  player: Player;
  actor: RecordedActor;
  drawing: MachineDrawing;
  kind: ActorKind;
}): JSX.Element {
  const model = useMemo(
    () =>
      modelOf(
        drawing,
        computed(() => actor.entries),
        travelOf(player, actor),
      ),
    [drawing, player, actor],
  );
  return <ActorView model={model} kind={kind} id={actor.id} source={null} team={null} />;
}

/** Arrow keys step, the space bar plays; not while something else takes them. */
function useKeys(player: Player): void {
  useEffect(() => {
    const onKey = (event: KeyboardEvent): void => {
      const { target } = event;
      const isTaken =
        target instanceof Element &&
        target.closest('input, select, button, textarea, summary, [role], a') !== null;
      if (event.defaultPrevented || isTaken) return;
      if (event.key === 'ArrowLeft') player.goTo(player.frame.peek() - 1);
      else if (event.key === 'ArrowRight') player.goTo(player.frame.peek() + 1);
      else if (event.key === ' ') player.play(!player.isPlaying.peek());
      else return;
      event.preventDefault();
    };
    window.addEventListener('keydown', onKey);
    return () => window.removeEventListener('keydown', onKey);
  }, [player]);
}
