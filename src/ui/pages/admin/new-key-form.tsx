import { useSignal } from '@preact/signals';
import type { JSX } from 'preact';
import { request } from '../../lib/api.ts';
import type { ApiKey } from '../../lib/types.ts';
import { useSending } from '../../lib/use-sending.ts';
import { CopyButton } from '../../parts/copy-button.tsx';
import { ProblemNote } from '../../parts/problem.tsx';
import { createKeyCall } from './calls.ts';

const SCOPES = ['read', 'write', 'admin'] as const;
const SECONDS_OF_A_DAY = 86_400;

/** Makes a key. It is shown once, here: not even the list of requests has it. */
export function NewKeyForm({ team, onDone }: { team: string; onDone: () => void }): JSX.Element {
  const made = useSignal<string | undefined>(undefined);
  const { isSending, problem, run } = useSending();
  const submit = async (event: SubmitEvent): Promise<void> => {
    event.preventDefault();
    const form = new FormData(event.currentTarget as HTMLFormElement);
    const days = String(form.get('days') ?? '');
    const { method, path, body } = createKeyCall(team, {
      name: String(form.get('name')),
      scopes: SCOPES.filter((scope) => form.has(scope)),
      ...(days !== '' && { expires_in_s: Number(days) * SECONDS_OF_A_DAY }),
    });
    await run(async () => {
      made.value = (await request<ApiKey & { key: string }>(method, path, { body })).key;
      onDone();
    });
  };
  return (
    <form class="panel" onSubmit={submit} aria-label="Make a key">
      <div class="fields">
        <label>
          Name of a new key
          <input name="name" required maxLength={128} />
        </label>
        <label>
          Days until it expires
          <input name="days" type="number" min={1} max={3650} placeholder="never" />
        </label>
        {SCOPES.map((scope) => (
          <label key={scope} data-kind="flag">
            <input name={scope} type="checkbox" defaultChecked={scope !== 'admin'} />
            {scope}
          </label>
        ))}
        <div class="actions">
          <button type="submit" disabled={isSending.value}>
            Make the key
          </button>
        </div>
      </div>
      {made.value && (
        <p class="new-key" role="status">
          <code>{made.value}</code> <CopyButton text={made.value} />{' '}
          <span class="dim">It is shown here once and never again.</span>
        </p>
      )}
      {problem.value && <ProblemNote problem={problem.value} />}
    </form>
  );
}
