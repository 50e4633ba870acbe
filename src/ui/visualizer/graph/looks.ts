import { computed, type ReadonlySignal } from '@preact/signals';
import type { MachineDrawing } from '../../../machines/drawing.ts';
import type { EdgeLight, Lights, StateLight } from './lights.ts';

/**
 * How each part of a graph looks, each in a signal of its own: when lights change, only what looks different is drawn again.
 * An empty text is a part that is not lit.
 */
export interface Looks {
  states: ReadonlyMap<string, ReadonlySignal<StateLight | ''>>;
  edges: ReadonlyMap<string, ReadonlySignal<EdgeLight | ''>>;
}

export function looksOf({ states, edges }: MachineDrawing, lights: ReadonlySignal<Lights>): Looks {
  return {
    states: new Map(states.map(({ id }) => [id, computed(() => lights.value.states.get(id) ?? '')])),
    edges: new Map(edges.map(({ id }) => [id, computed(() => lights.value.edges.get(id) ?? '')])),
  };
}
