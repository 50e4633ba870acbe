import { useSignal } from '@preact/signals';
import type { JSX } from 'preact';
import { useEffect } from 'preact/hooks';
import { Link } from '../../lib/router.tsx';
import { type Player, playerOf } from './player.ts';
import { PlayerView } from './player-view.tsx';
import { RecordingError, readRecording } from './read.ts';

/** Most that a file may have: a larger one is something else. */
const FILE_MAX_BYTES = 256 * 1024 * 1024;

/** A run of the simulation, opened from a file and looked at step by step. Nothing of it leaves the page. */
export function RecordingPage(): JSX.Element {
  const player = useSignal<Player | null>(null);
  const openings = useSignal(0);
  const problem = useSignal('');
  const isOver = useSignal(false);
  const open = async (file: File | undefined): Promise<void> => {
    if (!file) return;
    try {
      if (file.size > FILE_MAX_BYTES) throw new RecordingError('It is too large for a recording.');
      const opened = playerOf(readRecording(await textOf(file)));
      player.peek()?.close();
      openings.value += 1;
      player.value = opened;
      problem.value = '';
    } catch (error) {
      if (!(error instanceof RecordingError)) throw error;
      problem.value = `${file.name} cannot be opened. ${error.message}`;
    }
  };
  useEffect(() => {
    const stopped = new AbortController();
    const on = { signal: stopped.signal };
    window.addEventListener(
      'dragover',
      (event) => {
        event.preventDefault();
        isOver.value = true;
      },
      on,
    );
    window.addEventListener(
      'dragleave',
      (event) => {
        if (event.relatedTarget === null) isOver.value = false;
      },
      on,
    );
    window.addEventListener(
      'drop',
      (event) => {
        event.preventDefault();
        isOver.value = false;
        void open(event.dataTransfer?.files[0]);
      },
      on,
    );
    return () => {
      stopped.abort();
      player.peek()?.close();
    };
  }, []);
  return (
    <>
      <header class="recording-head" data-over={isOver.value}>
        <h1 tabIndex={-1}>Recording</h1>
        <label class="file-choice">
          <span>{player.value ? 'Open another' : 'Open a file, or drop it here'}</span>
          <input
            class="visually-hidden"
            type="file"
            accept=".json,application/json"
            onChange={({ currentTarget: input }) => {
              void open(input.files?.[0]);
              // The same file may be chosen again when it was written anew.
              input.value = '';
            }}
          />
        </label>
        <Link href="/visualizer">Fleet</Link>
      </header>
      {problem.value !== '' && (
        <p class="problem" role="alert">
          {problem}
        </p>
      )}
      {player.value ? <PlayerView key={openings.value} player={player.value} /> : <Help />}
    </>
  );
}

async function textOf(file: File): Promise<string> {
  try {
    return await file.text();
  } catch (error) {
    throw new RecordingError(`It cannot be read: ${error instanceof Error ? error.message : error}`);
  }
}

function Help(): JSX.Element {
  return (
    <div class="recording-help">
      <p>
        A run of the simulation, step by step: the faults that befell it, what each actor did, and what was
        that must not be.
      </p>
      <p>
        A run that fails is written beside its tape, as <code>….recording.json</code>. Any other is recorded
        with
      </p>
      <pre>npm run simulate -- --replay TAPE --record FILE</pre>
    </div>
  );
}
