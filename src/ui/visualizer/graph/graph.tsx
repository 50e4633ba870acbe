import {
  type ReadonlySignal,
  type Signal,
  signal,
  useComputed,
  useSignal,
  useSignalEffect,
} from '@preact/signals';
import type { JSX } from 'preact';
import { useMemo, useRef } from 'preact/hooks';
import type { DrawnState, MachineDrawing } from '../../../machines/drawing.ts';
import { useAim } from '../../lib/use-aim.ts';
import { Edge } from './edge.tsx';
import type { Lights } from './lights.ts';
import { looksOf } from './looks.ts';
import { type Direction, neighbour } from './neighbours.ts';
import { Frame, Plate } from './plate.tsx';
import { GraphTools, ZOOM_STEP } from './tools.tsx';
import { useView } from './use-view.ts';
import { COUNTABLE, READABLE } from './viewport.ts';

const ARROWS: Readonly<Record<string, Direction>> = {
  ArrowLeft: 'left',
  ArrowRight: 'right',
  ArrowUp: 'up',
  ArrowDown: 'down',
};

/** Numbers are not drawn smaller than at this scale. */
const NUMBERS_SCALE = 0.75;

interface GraphProps {
  drawing: MachineDrawing;
  lights: ReadonlySignal<Lights>;
  /** Numbers on the states, by full name. */
  counts?: ReadonlyMap<string, ReadonlySignal<number>>;
  /** The state that a person has chosen. */
  selected: Signal<string | null>;
}

/** The graph of a machine, with what is lit on it. It is seen in part: wheel, drag, pinch, and the keys + − 0 move it. */
export function Graph({ drawing, lights, counts, selected }: GraphProps): JSX.Element {
  const svg = useRef<SVGSVGElement>(null);
  const frames = drawing.states.filter(({ kind }) => kind === 'compound');
  const leaves = drawing.states.filter(({ kind }) => kind !== 'compound');
  const first = drawing.states.find(({ kind, initial }) => initial && kind !== 'compound');
  const focus = (): string[] => {
    const { current, states } = lights.peek();
    if (current !== null) return [current, ...states.keys()];
    const most = counts && fullest(leaves, counts);
    return most ? [most] : first ? [first.id] : [];
  };
  const controls = useView(svg, drawing, focus, counts ? COUNTABLE : READABLE);
  const { view, zoom, fitAll, show, hasDragged } = controls;
  // Numbers are read also where names are too small.
  const enlarged = useComputed(() => Math.max(1, NUMBERS_SCALE / view.value.scale));
  const looks = useMemo(() => looksOf(drawing, lights), [drawing, lights]);

  // The keyboard comes to the state that it was at last, or else to the present one.
  const focused = useSignal<string | null>(null);
  const reached = useComputed(() => focused.value ?? lights.value.current ?? first?.id ?? null);
  // It follows the present state, but not while somebody aims at another one.
  const aim = useAim(svg);
  useSignalEffect(() => {
    const isAimedAt = aim.value.pointer || aim.value.keyboard;
    if (lights.value.current !== null && !isAimedAt) show(focus());
  });

  const select = (id: string): void => {
    focused.value = id;
    selected.value = selected.peek() === id ? null : id;
  };
  const moveTo = (id: string): void => {
    focused.value = id;
    show([id]);
    svg.current?.querySelector<SVGGElement>(`[data-state="${CSS.escape(id)}"]`)?.focus();
  };
  const onKeyDown = (event: KeyboardEvent): void => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const at = reached.peek();
    const direction = ARROWS[event.key];
    if (direction && at !== null) {
      const next = neighbour(drawing, at, direction);
      if (next !== undefined) moveTo(next);
    } else if (event.key === '+' || event.key === '=') zoom(ZOOM_STEP);
    else if (event.key === '-') zoom(1 / ZOOM_STEP);
    else if (event.key === '0') fitAll();
    else if ((event.key === 'Enter' || event.key === ' ') && at !== null) select(at);
    else return;
    event.preventDefault();
    event.stopPropagation();
  };

  return (
    <div class="graph">
      {/* biome-ignore lint/a11y/useSemanticElements: a field set cannot be an SVG */}
      <svg
        ref={svg}
        class={useComputed(() => `graph-window ${lights.value.edges.size > 0 ? 'has-path' : ''}`)}
        role="group"
        aria-label={`${drawing.title}: states and transitions`}
        onKeyDown={onKeyDown}
      >
        <g
          transform={useComputed(
            () => `translate(${view.value.x} ${view.value.y}) scale(${view.value.scale})`,
          )}
        >
          {frames.map((state) => (
            <Frame
              key={state.id}
              state={state}
              light={looks.states.get(state.id) ?? UNLIT}
              count={counts?.get(state.id)}
              enlarged={enlarged}
            />
          ))}
          {drawing.edges.map((edge) => (
            <Edge key={edge.id} edge={edge} light={looks.edges.get(edge.id) ?? UNLIT} />
          ))}
          {leaves.map((state) => (
            <Plate
              key={state.id}
              state={state}
              light={looks.states.get(state.id) ?? UNLIT}
              count={counts?.get(state.id)}
              enlarged={enlarged}
              reached={reached}
              selected={selected}
              onSelect={(id) => {
                if (!hasDragged()) select(id);
              }}
            />
          ))}
        </g>
      </svg>
      <p class="visually-hidden" role="status">
        {useComputed(() => lights.value.text)}
      </p>
      <GraphTools {...controls} />
    </div>
  );
}

/** Of a part that has no look of its own. */
const UNLIT = signal<''>('');

/** The state with the largest number; undefined while all are 0. */
function fullest(
  states: readonly DrawnState[],
  counts: ReadonlyMap<string, ReadonlySignal<number>>,
): string | undefined {
  const countOf = ({ id }: DrawnState): number => counts.get(id)?.peek() ?? 0;
  const [most] = states.toSorted((a, b) => countOf(b) - countOf(a));
  return most && countOf(most) > 0 ? most.id : undefined;
}
