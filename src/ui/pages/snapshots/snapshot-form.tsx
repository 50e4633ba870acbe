import { useSignal } from '@preact/signals';
import type { JSX } from 'preact';
import { ApiError, type Problem } from '../../lib/api.ts';
import { sandboxCommands } from '../../lib/commands.ts';
import { me } from '../../lib/me.ts';
import { send } from '../../lib/send.ts';
import { ProblemNote } from '../../parts/problem.tsx';
import { SandboxSelect } from '../../parts/sandbox-select.tsx';
import { NameField } from '../templates/name-field.tsx';

/** Makes a snapshot of a sandbox that runs or is paused. */
export function SnapshotForm({ onDone }: { onDone: () => void }): JSX.Element {
  const isSending = useSignal(false);
  const problem = useSignal<Problem | undefined>(undefined);
  const chosen = useSignal('');
  const submit = async (event: SubmitEvent): Promise<void> => {
    event.preventDefault();
    const form = new FormData(event.currentTarget as HTMLFormElement);
    const target = { team: me.peek()?.team_id ?? '', id: chosen.peek() };
    isSending.value = true;
    problem.value = undefined;
    try {
      const values = { name: String(form.get('name')), memory: form.has('memory') };
      await send(sandboxCommands.snapshot.call(target, values));
      onDone();
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      problem.value = error.problem;
    } finally {
      isSending.value = false;
    }
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
