import { useSignal } from '@preact/signals';
import type { JSX } from 'preact';

import { sandboxCommands } from '../../lib/commands.ts';
import { me } from '../../lib/me.ts';
import { send } from '../../lib/send.ts';
import { useSending } from '../../lib/use-sending.ts';
import { ProblemNote } from '../../parts/problem.tsx';
import { SandboxSelect } from '../../parts/sandbox-select.tsx';
import { NameField } from '../templates/name-field.tsx';

/** Makes a snapshot of a sandbox that runs or is paused. */
export function SnapshotForm({ onDone }: { onDone: () => void }): JSX.Element {
  const { isSending, problem, run } = useSending();
  const chosen = useSignal('');
  const submit = async (event: SubmitEvent): Promise<void> => {
    event.preventDefault();
    const form = new FormData(event.currentTarget as HTMLFormElement);
    const target = { team: me.peek()?.team_id ?? '', id: chosen.peek() };
    await run(async () => {
      const values = { name: String(form.get('name')), memory: form.has('memory') };
      await send(sandboxCommands.snapshot.call(target, values));
      onDone();
    });
  };
  return (
    <form class="panel" onSubmit={submit} aria-label="Make a snapshot">
      <div class="fields">
        <SandboxSelect chosen={chosen} />
        <NameField />
        <label data-kind="flag">
          <input name="memory" type="checkbox" defaultChecked />
          With its memory
        </label>
        <div class="actions">
          <button type="submit" data-look="primary" disabled={isSending.value || chosen.value === ''}>
            Snapshot
          </button>
        </div>
      </div>
      {problem.value && <ProblemNote problem={problem.value} />}
    </form>
  );
}
