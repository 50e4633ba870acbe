import { type ReadonlySignal, useComputed } from '@preact/signals';
import type { JSX } from 'preact';
import type { DrawnState } from '../../../machines/drawing.ts';
import type { StateLight } from './lights.ts';

/** What is spoken of a light; what is seen of it is in the style. */
const SPOKEN: Record<StateLight, string> = {
  current: 'the present state',
  visited: 'passed through',
  failed: 'failed here',
};

interface PlateProps {
  state: DrawnState;
  light: ReadonlySignal<StateLight | ''>;
  /** How many actors are in the state; undefined where none are counted. */
  count: ReadonlySignal<number> | undefined;
  /** By how much numbers are enlarged. */
  enlarged: ReadonlySignal<number>;
  /** The state that the keyboard comes to. */
  reached: ReadonlySignal<string | null>;
  selected: ReadonlySignal<string | null>;
  onSelect(id: string): void;
}

const COUNT_WIDTH = 30;
const COUNT_HEIGHT = 15;
/** Where the step is written, too, the name stands that much above the middle. */
const NAME_LIFT = 6;
const STEP_DROP = 9;

/** A state in which an actor can be. */
export function Plate({
  state,
  light,
  count,
  enlarged,
  reached,
  selected,
  onSelect,
}: PlateProps): JSX.Element {
  const { id, label, parent, step, kind, initial, failure, tags, x, y, width, height } = state;
  const isRest = tags.includes('rest') || kind === 'final';
  const isSelected = useComputed(() => selected.value === id);
  const className = useComputed(() =>
    [
      `plate plate-${kind}`,
      failure && 'is-way-back',
      light.value && `lit lit-${light.value}`,
      isSelected.value && 'is-selected',
    ]
      .filter(Boolean)
      .join(' '),
  );
  // It begins with what is written on it, so that it is found by that.
  const name = useComputed(() => {
    const written = [label, step, count?.value || ''].filter(Boolean).join(' ');
    return [written, id !== label && `in ${parent}`, light.value && SPOKEN[light.value]]
      .filter(Boolean)
      .join(', ');
  });
  const middle = width / 2;
  return (
    // biome-ignore lint/a11y/useSemanticElements: there are no buttons in SVG
    <g
      class={className}
      transform={`translate(${x} ${y})`}
      role="button"
      tabindex={useComputed(() => (reached.value === id ? 0 : -1))}
      aria-label={name}
      aria-pressed={isSelected}
      data-state={id}
      data-current={useComputed(() => light.value === 'current')}
      data-lit={useComputed(() => light.value !== '')}
      data-count={count}
      onClick={() => onSelect(id)}
    >
      <rect class="plate-halo" x={-4} y={-4} width={width + 8} height={height + 8} rx={5} />
      <rect class="plate-body" width={width} height={height} rx={2} />
      {kind === 'final' && <rect class="plate-inner" x={3} y={3} width={width - 6} height={height - 6} />}
      {isRest && kind !== 'final' && <path class="plate-rest" d={`M0 ${height - 3.5}H${width}`} />}
      {initial && <circle class="plate-initial" cx={0} cy={height / 2} r={3.5} />}
      <path class="plate-here" d={`M-15 ${height / 2 - 6}l9 6-9 6Z`} />
      <path class="plate-failed" d="M-5-5 5 5M5-5-5 5" />
      <text class="plate-name" x={middle} y={height / 2 - (step ? NAME_LIFT : 0)}>
        {label}
      </text>{' '}
      {step && (
        <text class="plate-step" x={middle} y={height / 2 + STEP_DROP}>
          {step}
        </text>
      )}{' '}
      {count && <Count count={count} enlarged={enlarged} x={width - 16} y={6} />}
    </g>
  );
}

/** A state around others. */
export function Frame({
  state: { id, label, x, y, width, height, failure },
  light,
  count,
  enlarged,
}: Pick<PlateProps, 'state' | 'light' | 'count' | 'enlarged'>): JSX.Element {
  return (
    <g
      class={`frame ${failure ? 'is-way-back' : ''}`}
      transform={`translate(${x} ${y})`}
      data-state={id}
      data-lit={useComputed(() => light.value !== '')}
      data-count={count}
    >
      <rect class="frame-body" width={width} height={height} rx={3} />
      <text class="frame-name" x={10} y={15}>
        {label}
      </text>
      {count && <Count count={count} enlarged={enlarged} x={width - 20} y={6} />}
    </g>
  );
}

/** A number of actors. It grows from its lower left corner, which is given: away from the name. */
function Count({
  count,
  enlarged,
  x,
  y,
}: {
  count: ReadonlySignal<number>;
  enlarged: ReadonlySignal<number>;
  x: number;
  y: number;
}): JSX.Element {
  return (
    <g
      class={useComputed(() => `count ${count.value === 0 ? 'is-none' : ''}`)}
      transform={useComputed(() => `translate(${x} ${y}) scale(${enlarged.value})`)}
    >
      <rect y={-COUNT_HEIGHT} width={COUNT_WIDTH} height={COUNT_HEIGHT} rx={2} />
      <text x={COUNT_WIDTH / 2} y={-COUNT_HEIGHT / 2}>
        {count}
      </text>
    </g>
  );
}
