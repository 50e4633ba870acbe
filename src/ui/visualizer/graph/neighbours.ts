import type { DrawnState, MachineDrawing } from '../../../machines/drawing.ts';
import { isWithin } from '../../../machines/match.ts';

export type Direction = 'left' | 'right' | 'up' | 'down';

/** A way that leads aside is that much longer than one that leads straight on. */
const ASIDE = 2.5;
const TIE = 0.01;

/**
 * The state that an arrow key leads to: of those that an edge connects, in either direction, the one that lies nearest in that
 * direction; where none does, the nearest of all.
 *
 * @returns undefined when there is nothing in that direction
 */
export function neighbour(
  { states, edges }: MachineDrawing,
  from: string,
  direction: Direction,
): string | undefined {
  const origin = states.find(({ id }) => id === from);
  if (!origin) return undefined;
  const connected = new Set<string>();
  for (const { source, target } of edges) {
    if (isWithin(from, source)) connected.add(target);
    if (isWithin(from, target)) connected.add(source);
  }
  const others = states.filter(({ id, kind }) => id !== from && kind !== 'compound');
  const next = others.filter(({ id }) => connected.has(id));
  return nearest(origin, next, direction) ?? nearest(origin, others, direction);
}

function nearest(origin: DrawnState, candidates: readonly DrawnState[], direction: Direction) {
  const isLevel = direction === 'left' || direction === 'right';
  const sign = direction === 'right' || direction === 'down' ? 1 : -1;
  const [from, across] = [spanOf(origin, isLevel), spanOf(origin, !isLevel)];
  let best: { id: string; way: number } | undefined;
  for (const state of candidates) {
    const [to, beside] = [spanOf(state, isLevel), spanOf(state, !isLevel)];
    const ahead = sign > 0 ? to.start - from.end : from.start - to.end;
    if (ahead < 0) continue;
    // Side by side nothing is aside; then the middles decide.
    const aside = Math.max(0, beside.start - across.end, across.start - beside.end);
    const apart = Math.abs(middleOf(beside) - middleOf(across));
    const way = ahead + aside * ASIDE + apart * TIE;
    if (!best || way < best.way) best = { id: state.id, way };
  }
  return best?.id;
}

interface Span {
  start: number;
  end: number;
}

/** Where a state lies from left to right, or from top to bottom. */
function spanOf({ x, y, width, height }: DrawnState, isLevel: boolean): Span {
  return isLevel ? { start: x, end: x + width } : { start: y, end: y + height };
}

function middleOf({ start, end }: Span): number {
  return (start + end) / 2;
}
