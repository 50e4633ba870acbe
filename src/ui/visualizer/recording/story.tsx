import { computed, signal } from '@preact/signals';
import type { JSX } from 'preact';
import { useMemo } from 'preact/hooks';
import type { Frame } from '../../../machines/recording.ts';
import { duration } from '../../lib/format.ts';
import type { Inspection } from '../../lib/types.ts';
import { WindowedList } from '../windowed-list.tsx';
import type { Player } from './player.ts';

const NEVER = signal(false);
const SIGNS = { fault: '⚡', violation: '✕' } as const;

interface Line {
  index: number;
  frame: Frame;
}

/** The story of a recording, line by line. */
export function Story({ player }: { player: Player }): JSX.Element {
  const lines = useMemo(
    () => computed(() => player.recording.frames.map((frame, index): Line => ({ index, frame }))),
    [player],
  );
  return (
    <section class="story" aria-label="Story">
      <WindowedList
        class="story-lines"
        label="What happened, oldest first"
        id="frame"
        items={lines}
        at={player.frame}
        isAtEnd={NEVER}
        empty="Nothing has happened."
        attributes={({ index, frame }) => ({
          'data-frame': index,
          'data-mark': frame.mark,
          'data-failed': frame.inspection?.error ? true : undefined,
        })}
        row={({ frame }) => <StoryLine frame={frame} />}
        onChoose={({ index }) => player.goTo(index)}
      />
    </section>
  );
}

function StoryLine({ frame: { at_ms, text, mark, inspection } }: { frame: Frame }): JSX.Element {
  const words = text ?? (inspection ? wordsOf(inspection) : '');
  return (
    <>
      <span class="timeline-mark" aria-hidden="true">
        {mark ? SIGNS[mark] : inspection?.error ? '✕' : ''}
      </span>
      <span class="story-time">{duration(at_ms)}</span>
      <span class="story-text cut" title={words}>
        {inspection && <span class="quiet">{inspection.id} </span>}
        {words}
      </span>
    </>
  );
}

/** As short as it can be said: the column is narrow. */
function wordsOf({ from, to, error, refused }: Inspection): string {
  if (refused !== null) return `${refused} refused in ${to}`;
  return error !== null && from !== null ? `${error.code} in ${from} → ${to}` : `→ ${to}`;
}
