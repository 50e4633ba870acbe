import { useSignal } from '@preact/signals';
import type { JSX } from 'preact';
import type { DrawnEdge } from '../../../machines/drawing.ts';
import { Mark } from './edge.tsx';
import { headOf, lineOf, markOf } from './geometry.ts';
import type { ViewControls } from './use-view.ts';

export const ZOOM_STEP = 1.25;

/** Buttons for how the graph is seen, and what its signs mean. */
export function GraphTools({ zoom, fitAll }: Pick<ViewControls, 'zoom' | 'fitAll'>): JSX.Element {
  const isLegendShown = useSignal(false);
  return (
    <>
      <div class="graph-tools" role="toolbar" aria-label="View of the graph">
        <button type="button" aria-label="Smaller" title="Smaller (−)" onClick={() => zoom(1 / ZOOM_STEP)}>
          −
        </button>
        <button type="button" aria-label="Larger" title="Larger (+)" onClick={() => zoom(ZOOM_STEP)}>
          +
        </button>
        <button type="button" title="All of it (0)" onClick={fitAll}>
          Fit
        </button>
        <button
          type="button"
          aria-expanded={isLegendShown}
          onClick={() => {
            isLegendShown.value = !isLegendShown.value;
          }}
        >
          Legend
        </button>
      </div>
      {isLegendShown.value && <Legend />}
    </>
  );
}

const EDGES: readonly (readonly [DrawnEdge['kind'], string])[] = [
  ['step', 'a step is done'],
  ['failure', 'a step fails'],
  ['command', 'a command'],
  ['timeout', 'a timer'],
  ['event', 'an event of its own'],
];

const STATES = [
  ['lit-current', 'where it is', 'M-8 3l6 5-6 5Z'],
  ['lit-visited', 'passed in this operation', ''],
  ['lit-failed', 'failed here', ''],
  ['is-way-back', 'only after a failure', ''],
] as const;

const SAMPLE = [
  [2, 8],
  [58, 8],
] as const;

function Legend(): JSX.Element {
  return (
    <dl class="legend">
      {STATES.map(([look, words, here]) => (
        <div key={look}>
          <dt>
            <svg width="60" height="18" aria-hidden="true">
              <g class={`plate ${look}`} transform="translate(16 1)">
                <rect class="plate-body" width="28" height="16" rx="2" />
                <path class="plate-here" d={here} />
                <path class="plate-failed" d="M-4-1 4 7M4-1-4 7" />
              </g>
            </svg>
          </dt>
          <dd>{words}</dd>
        </div>
      ))}
      {EDGES.map(([kind, words]) => (
        <div key={kind}>
          <dt>
            <svg width="60" height="16" aria-hidden="true">
              <g class={`edge edge-${kind}`}>
                <path class="edge-line" d={lineOf(SAMPLE)} />
                <path class="edge-head" d={headOf(SAMPLE)} />
                <Mark kind={kind} at={markOf(SAMPLE)} />
              </g>
            </svg>
          </dt>
          <dd>{words}</dd>
        </div>
      ))}
    </dl>
  );
}
