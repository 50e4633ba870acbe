import { useSignal, useSignalEffect } from '@preact/signals';
import type { JSX } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import type { MachineDrawing } from '../../machines/drawing.ts';
import { ApiError, type Problem } from '../lib/api.ts';
import { decoded } from '../lib/decoded.ts';
import { openFleet } from '../lib/live.ts';
import { may } from '../lib/me.ts';
import { location } from '../lib/router.tsx';
import type { ActorKind } from '../lib/types.ts';
import { ProblemNote } from '../parts/problem.tsx';
import { ActorPage } from './actor/actor-page.tsx';
import { drawingOf } from './drawings.ts';
import { ActorList } from './fleet/actor-list.tsx';
import { FleetPage } from './fleet/fleet-page.tsx';
import { followHosts, hosts } from './fleet/hosts.ts';
import type { Search } from './fleet/search.ts';
import { RecordingPage } from './recording/recording-page.tsx';
import './visualizer.css';

const KINDS: readonly ActorKind[] = ['sandbox', 'host', 'loop-registry'];

/** What is happening: to all sandboxes, to one actor, or to those of a recorded run of the simulation. */
export function Visualizer(): JSX.Element {
  const [, , place, id] = location.value.path.split('/');
  const search = useSignal<Search>({ words: '', narrowing: 'all', host: null });
  useEffect(openFleet, []);
  useSignalEffect(() => {
    // Asked again when it is known that the key may, and with another key.
    if (!may('admin')) {
      hosts.value = [];
      return undefined;
    }
    const left = new AbortController();
    void followHosts(left.signal);
    return () => left.abort();
  });
  if (place === 'recording')
    return (
      <div class="visualizer is-recording">
        <RecordingPage />
      </div>
    );
  const kind = KINDS.find((one) => one === place);
  return (
    <div class="visualizer" data-shows={kind && id ? 'actor' : 'fleet'}>
      <ActorList search={search} />
      <WithDrawing kind={kind ?? 'sandbox'}>
        {(drawing) =>
          kind && id ? (
            <ActorPage key={`${kind} ${id}`} kind={kind} id={decoded(id)} drawing={drawing} />
          ) : (
            <FleetPage drawing={drawing} search={search} />
          )
        }
      </WithDrawing>
    </div>
  );
}

/** Gets the drawing of a kind first. */
function WithDrawing({
  kind,
  children,
}: {
  kind: ActorKind;
  children: (drawing: MachineDrawing) => JSX.Element;
}): JSX.Element {
  const [drawing, setDrawing] = useState<MachineDrawing>();
  const [problem, setProblem] = useState<Problem>();
  const [tries, setTries] = useState(0);
  useEffect(() => {
    let isWanted = true;
    setProblem(undefined);
    drawingOf(kind).then(
      (one) => isWanted && setDrawing(one),
      (error: unknown) => {
        if (!(error instanceof ApiError)) throw error;
        if (isWanted) setProblem(error.problem);
      },
    );
    return () => {
      isWanted = false;
    };
  }, [kind, tries]);
  if (problem) return <ProblemNote problem={problem} onRetry={() => setTries(tries + 1)} />;
  // The one of another kind may still be there.
  return drawing?.kind === kind ? children(drawing) : <p class="empty">The machine is being drawn…</p>;
}
