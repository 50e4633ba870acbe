import { useComputed } from '@preact/signals';
import type { JSX } from 'preact';
import { duration } from '../../lib/format.ts';
import { now } from '../../lib/now.ts';
import type { ActorModel } from '../actor/model.ts';
import { announce } from './explanation.ts';
import { entryAt, type Mark, tapeOf } from './tape.ts';

/** The history in one line, with the moment that is looked at. It is a slider: drag, click, or arrow keys. */

/** Units of the drawing; it is stretched to the width that there is. */
const WIDTH = 1000;
const TOP = 10;
const HEIGHT = 18;

const MARK_SIGNS: Record<Mark['kind'], string> = { failure: '✕', refusal: '⊘', command: '▾' };

export function Tape({ model }: { model: ActorModel }): JSX.Element {
  const tape = useComputed(() => {
    const last = model.entries.value.at(-1);
    // At rest the last state looks the same however long it lasts: only a step is drawn again each second.
    const isMoving = last !== undefined && !model.rules.rests.has(last.to);
    return tapeOf(model.rows.value, model.rules, model.index.value, isMoving ? now.value : now.peek());
  });
  const { segments, marks } = tape.value;
  const here = segments.findLast(({ index }) => index <= model.index.value);
  const entry = model.entry.value;

  const goToPointer = (event: PointerEvent): void => {
    if (event.buttons !== 1) return;
    const { left, width } = (event.currentTarget as Element).getBoundingClientRect();
    const index = entryAt(segments, (event.clientX - left) / width);
    if (index !== undefined) model.goTo(index);
  };
  const onKeyDown = (event: KeyboardEvent): void => {
    const index = model.index.peek();
    if (event.key === 'ArrowLeft' || event.key === 'ArrowDown') model.goTo(index - 1);
    else if (event.key === 'ArrowRight' || event.key === 'ArrowUp') model.goTo(index + 1);
    else if (event.key === 'Home') model.goTo(0);
    else if (event.key === 'End' || event.key === 'Escape') model.goLive();
    else return;
    event.preventDefault();
  };
  return (
    <div
      class="tape"
      role="slider"
      tabIndex={0}
      aria-label="Moment"
      aria-valuemin={0}
      aria-valuemax={Math.max(0, model.entries.value.length - 1)}
      aria-valuenow={Math.max(0, model.index.value)}
      aria-valuetext={entry ? announce(entry) : 'nothing yet'}
      onPointerDown={goToPointer}
      onPointerMove={goToPointer}
      onKeyDown={onKeyDown}
    >
      <svg viewBox={`0 0 ${WIDTH} ${TOP + HEIGHT}`} preserveAspectRatio="none" aria-hidden="true">
        {segments.map(({ index, state, kind, ms, x, width }) => (
          <rect
            key={index}
            class={`tape-${kind}`}
            x={x * WIDTH}
            width={Math.max(width * WIDTH - 1, 0.5)}
            y={kind === 'rest' ? TOP + HEIGHT / 2 - 2 : TOP}
            height={kind === 'rest' ? 4 : HEIGHT}
          >
            <title>{`${state}, ${duration(ms)}`}</title>
          </rect>
        ))}
      </svg>
      {marks.map(({ index, kind, x }) => (
        <span key={index} class={`tape-mark tape-${kind}`} style={{ left: `${x * 100}%` }} aria-hidden="true">
          {MARK_SIGNS[kind]}
        </span>
      ))}
      {here && <span class="tape-here" style={{ left: `${here.x * 100}%`, width: `${here.width * 100}%` }} />}
    </div>
  );
}
