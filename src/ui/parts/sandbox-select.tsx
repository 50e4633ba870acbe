import { type Signal, useSignal } from '@preact/signals';
import type { JSX } from 'preact';
import { useEffect } from 'preact/hooks';
import { fleet } from '../lib/live.ts';
import { useSampled } from '../lib/use-sampled.ts';

/** So often the choice changes, so that one can aim at a line of it. */
const SAMPLE_MS = 400;

/**
 * Chooses one of the sandboxes that rest: only those can be copied. The one that is chosen stays so, also while it moves and when it is
 * gone: another one in its place would be copied by mistake.
 *
 * @param props.chosen its id; empty while there is none
 */
export function SandboxSelect({ chosen: given }: { chosen?: Signal<string> }): JSX.Element {
  const own = useSignal('');
  const chosen = given ?? own;
  const { rows } = useSampled(fleet, SAMPLE_MS).value;
  const resting = [...rows.values()].filter(({ state }) => state === 'running' || state === 'paused');
  const [first] = resting;
  useEffect(() => {
    if (chosen.peek() === '' && first) chosen.value = first.id;
  }, [chosen, first?.id]);
  const isListed = chosen.value === '' || resting.some(({ id }) => id === chosen.value);
  return (
    <label class="build-wide">
      Sandbox
      <select
        name="sandbox_id"
        required
        value={chosen.value}
        onChange={(event) => {
          chosen.value = event.currentTarget.value;
        }}
      >
        {!isListed && (
          <option value={chosen.value}>
            {chosen.value} ({rows.get(chosen.value)?.state ?? 'gone'})
          </option>
        )}
        {resting.map(({ id, state, template }) => (
          <option key={id} value={id}>
            {id} ({state}, {template})
          </option>
        ))}
      </select>
    </label>
  );
}
