import { useSignal } from '@preact/signals';
import type { JSX } from 'preact';
import { useEffect } from 'preact/hooks';
import { timeOfDay } from '../../lib/format.ts';
import type { ActorKind } from '../../lib/types.ts';
import { ProblemNote } from '../../parts/problem.tsx';
import { ExportMenu } from '../export-menu.tsx';
import { Graph } from '../graph/graph.tsx';
import { Timeline } from '../history/timeline.tsx';
import { ErrorPanel } from '../inspector/error-panel.tsx';
import { Inspector } from '../inspector/inspector.tsx';
import type { ActorModel } from './model.ts';
import type { ActorSource } from './source.ts';

/** What the state of a connection is called. */
const STATUS_WORDS: Record<ActorSource['status']['value'], string> = {
  loading: 'loading',
  connecting: 'connecting',
  open: 'live',
  waiting: 'no connection',
  ended: 'ended',
};

/** One actor: its graph in the middle, what it is beside it, what happened below. */
export function ActorView({
  model,
  kind,
  id,
  source,
  team,
}: {
  model: ActorModel;
  kind: ActorKind;
  id: string;
  /** How the server is heard; null for a recording. */
  source: Pick<ActorSource, 'status' | 'problem'> | null;
  /** The team that commands are sent for; null where none can be sent. */
  team: string | null;
}): JSX.Element {
  const selected = useSignal<string | null>(null);
  // A recording has a heading of its own.
  const Heading = source ? 'h1' : 'h2';
  const isRecorded = source === null;
  useEffect(() => {
    // The end of a recording is no present that one comes back to.
    if (isRecorded) return;
    const onKey = (event: KeyboardEvent): void => {
      const isTyping = event.target instanceof HTMLInputElement || document.querySelector('dialog[open]');
      if (event.key === 'Escape' && !event.defaultPrevented && !isTyping) model.goLive();
    };
    window.addEventListener('keydown', onKey);
    return () => window.removeEventListener('keydown', onKey);
  }, [model, isRecorded]);
  return (
    <div class="actor">
      <header class="actor-head">
        <Heading tabIndex={-1}>
          <span class="quiet">{kind}</span> {id}
        </Heading>
        {source && <Status status={source.status} />}
        <ExportMenu kind={kind} />
      </header>
      {source && <SourceProblem problem={source.problem} />}
      <div class="actor-graph">
        <Graph drawing={model.drawing} lights={model.lights} selected={selected} />
        {source && <Banner model={model} />}
      </div>
      <div class="actor-side">
        {/* biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls, and is moved by the keyboard */}
        <aside class="inspector" aria-label="Inspector" tabIndex={0}>
          <Inspector {...{ model, kind, id, team, selected }} />
        </aside>
        <ErrorPanel model={model} />
      </div>
      <Timeline model={model} />
    </div>
  );
}

function Status({ status }: Pick<ActorSource, 'status'>): JSX.Element {
  return (
    <p class="actor-status mono" data-status={status.value}>
      {STATUS_WORDS[status.value]}
    </p>
  );
}

function SourceProblem({ problem }: Pick<ActorSource, 'problem'>): JSX.Element | null {
  return problem.value && <ProblemNote problem={problem.value} />;
}

/** Says that the page shows the past. */
function Banner({ model }: { model: ActorModel }): JSX.Element | null {
  const entry = model.entry.value;
  if (model.isLive.value || !entry) return null;
  return (
    <p class="banner" role="status">
      <span>
        As it was at <b>{timeOfDay(entry.at)}</b>, seq {entry.seq}
      </span>
      <button type="button" onClick={model.goLive}>
        Back to live
      </button>
    </p>
  );
}
