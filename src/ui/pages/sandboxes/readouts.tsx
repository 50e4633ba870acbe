import type { JSX } from 'preact';
import { count } from '../../lib/format.ts';
import { STATE_GROUPS, type StateGroup } from '../../lib/states.ts';
import { StateShape } from '../../parts/state-mark.tsx';
import type { View } from './view.ts';

type Choice = StateGroup | 'all';

/** How many sandboxes there are of each group; each is a filter, too. */
export function Readouts({
  counts,
  chosen,
  onChoose,
}: {
  counts: View['counts'];
  chosen: Choice;
  onChoose: (choice: Choice) => void;
}): JSX.Element {
  return (
    // biome-ignore lint/a11y/useSemanticElements: these are filters, and no part of a form
    <div class="readouts" role="group" aria-label="Show only">
      {(['all', ...STATE_GROUPS] as const).map((group) => (
        <button
          key={group}
          type="button"
          class="readout"
          aria-pressed={chosen === group}
          onClick={() => onChoose(group)}
        >
          <span class="readout-name" data-group={group}>
            {group !== 'all' && <StateShape state={group} />}
            {group}
          </span>
          <span class="readout-count mono">{count(counts[group])}</span>
          <span class="readout-share" data-group={group}>
            <span style={{ width: `${share(counts[group], counts.all)}%` }} />
          </span>
        </button>
      ))}
    </div>
  );
}

function share(part: number, all: number): number {
  return all === 0 ? 0 : (100 * part) / all;
}
