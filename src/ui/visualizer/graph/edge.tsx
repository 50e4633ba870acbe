import type { ReadonlySignal } from '@preact/signals';
import { useComputed } from '@preact/signals';
import type { JSX } from 'preact';
import type { DrawnEdge } from '../../../machines/drawing.ts';
import { headOf, lineOf, markOf } from './geometry.ts';
import type { EdgeLight } from './lights.ts';

/** An edge: its line, its arrow's head, and at its beginning the mark of its kind, which says without colour what it is. */
export function Edge({
  edge,
  light,
}: {
  edge: DrawnEdge;
  light: ReadonlySignal<EdgeLight | ''>;
}): JSX.Element {
  const className = useComputed(() => `edge edge-${edge.kind} ${light.value && `lit lit-${light.value}`}`);
  const isLit = useComputed(() => light.value !== '');
  return (
    <g class={className} data-edge={`${edge.source}→${edge.target}`} data-kind={edge.kind} data-lit={isLit}>
      <title>{titleOf(edge)}</title>
      <path class="edge-room" d={lineOf(edge.points)} />
      <path class="edge-line" d={lineOf(edge.points)} />
      <path class="edge-head" d={headOf(edge.points)} />
      <Mark kind={edge.kind} at={markOf(edge.points)} />
      {edge.label_box && (
        <text
          class="edge-label"
          x={edge.label_box.x + edge.label_box.width / 2}
          y={edge.label_box.y + edge.label_box.height / 2}
        >
          {edge.label}
        </text>
      )}
    </g>
  );
}

/** ✕ a failure, ▪ a command, ○ a timer, ◇ an event; a step that is done has none. */
export function Mark({ kind, at: [x, y] }: { kind: DrawnEdge['kind']; at: readonly [number, number] }) {
  const transform = `translate(${x} ${y})`;
  switch (kind) {
    case 'failure':
      return <path class="edge-mark" transform={transform} d="M-3.5-3.5 3.5 3.5M3.5-3.5-3.5 3.5" />;
    case 'command':
      return <path class="edge-mark solid" transform={transform} d="M-3-3H3V3H-3Z" />;
    case 'timeout':
      return <circle class="edge-mark" transform={transform} r="3.5" />;
    case 'event':
      return <path class="edge-mark" transform={transform} d="M0-4 4 0 0 4-4 0Z" />;
    default:
      return null;
  }
}

function titleOf({ members }: DrawnEdge): string {
  return members
    .map(({ from, cause, to, guard }) => `${from} → ${to}: ${cause}${guard ? ` if ${guard}` : ''}`)
    .join('\n');
}
