import { computed, type ReadonlySignal } from '@preact/signals';
import type { MachineDrawing } from '../../../machines/drawing.ts';
import type { Inspection } from '../../lib/types.ts';
import { type Lights, lightsAt } from '../graph/lights.ts';
import type { Entries } from '../history/entries.ts';
import { type Explanation, explain, lastFailed } from '../history/explanation.ts';
import { type Operation, operationAt, operationsOf } from '../history/operations.ts';
import { type Row, rowsOf } from '../history/rows.ts';
import { type Rules, rulesOf } from '../history/rules.ts';
import type { Travel } from './travel.ts';

/** An actor as its page shows it: its history, and the moment that is looked at. All the rest follows from these two. */
export interface ActorModel extends Travel {
  drawing: MachineDrawing;
  rules: Rules;
  entries: ReadonlySignal<Entries>;
  operations: ReadonlySignal<readonly Operation[]>;
  rows: ReadonlySignal<readonly Row[]>;
  /** The entry that is looked at; undefined when there is none. */
  entry: ReadonlySignal<Inspection | undefined>;
  /** The transition before it. */
  before: ReadonlySignal<Inspection | undefined>;
  lights: ReadonlySignal<Lights>;
  /** Why the operation of that moment failed; null when it did not. */
  explanation: ReadonlySignal<Explanation | null>;
  /** Why the last operation failed that had failed by then. */
  lastExplanation: ReadonlySignal<Explanation | null>;
}

export function modelOf(
  drawing: MachineDrawing,
  entries: ReadonlySignal<Entries>,
  travel: Travel,
): ActorModel {
  const rules = rulesOf(drawing);
  const { index } = travel;
  const operations = computed(() => operationsOf(entries.value, rules));
  const explained = (operation: Operation | undefined): Explanation | null =>
    operation ? explain(entries.value, operation, index.value) : null;
  return {
    ...travel,
    drawing,
    rules,
    entries,
    operations,
    rows: computed(() => rowsOf(entries.value, operations.value, rules)),
    entry: computed(() => entries.value[index.value]),
    before: computed(() => transitionBefore(entries.value, index.value)),
    lights: computed(() => lightsAt(drawing, entries.value, operations.value, index.value)),
    explanation: computed(() => explained(operationAt(operations.value, index.value))),
    lastExplanation: computed(() => explained(lastFailed(operations.value, index.value))),
  };
}

function transitionBefore(entries: Entries, index: number): Inspection | undefined {
  for (let at = index - 1; at >= 0; at -= 1) if (entries[at]?.refused === null) return entries[at];
  return undefined;
}
