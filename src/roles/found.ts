import type { Found } from '../actors/host/host.ts';

/** What a host found at its start, in words: what there is none of is left out. Undefined when there was nothing. */
export function describeFound(found: Found): string | undefined {
  const parts = [
    count(found.adopted, 'sandbox', 'sandboxes'),
    count(found.resumedSteps, 'operation that goes on', 'operations that go on'),
    count(found.undone, 'undo that goes on', 'undos that go on'),
    count(found.stranded, 'stranded sandbox', 'stranded sandboxes'),
    count(found.cleared, 'leftover, removed', 'leftovers, removed'),
    count(found.foreign, 'thing that is not ours, left alone', 'things that are not ours, left alone'),
    count(found.republished, 'event to be sent again', 'events to be sent again'),
  ].filter((part) => part !== undefined);
  return parts.length === 0 ? undefined : `found ${parts.join('; ')}`;
}

function count(number: number, one: string, many: string): string | undefined {
  return number === 0 ? undefined : `${number} ${number === 1 ? one : many}`;
}
