import { useSignal } from '@preact/signals';
import type { JSX } from 'preact';
import { request } from '../../lib/api.ts';
import { createCall } from '../../lib/commands.ts';
import { useLoaded } from '../../lib/load.ts';
import { me } from '../../lib/me.ts';
import { location } from '../../lib/router.tsx';
import { send } from '../../lib/send.ts';
import type { CreateOptions, Sandbox, Template } from '../../lib/types.ts';
import { useSending } from '../../lib/use-sending.ts';
import { ProblemNote } from '../../parts/problem.tsx';
import { noteSandbox } from './details.ts';

/** Makes a sandbox. A size that is left empty is the template's. */
export function CreateForm(): JSX.Element {
  const templates = useLoaded((signal) =>
    request<{ templates: Template[] }>('GET', '/v1/templates', { signal }),
  );
  const chosen = useSignal(location.peek().query.get('template') ?? 'minimal');
  const { isSending, problem, run } = useSending();
  const made = useSignal<string | undefined>(undefined);
  const template = templates.data?.templates.find(({ name }) => name === chosen.value);
  const submit = async (event: SubmitEvent): Promise<void> => {
    event.preventDefault();
    const form = event.currentTarget as HTMLFormElement;
    await run(async () => {
      const options = optionsOf(new FormData(form));
      const sandbox = await send<Sandbox>(createCall(me.peek()?.team_id ?? '', options));
      noteSandbox(sandbox);
      made.value = sandbox.id;
    });
  };
  return (
    <form class="panel create-form" onSubmit={submit} aria-label="Create a sandbox">
      <div class="fields">
        <label>
          Template
          <select
            name="template"
            value={chosen.value}
            onChange={(event) => {
              chosen.value = event.currentTarget.value;
            }}
          >
            {namesOf(templates.data?.templates, chosen.value).map((name) => (
              <option key={name}>{name}</option>
            ))}
          </select>
        </label>
        <Size name="vcpus" label="vCPUs" min={1} max={64} of={template?.vcpus} isFixed={template?.memory} />
        <Size
          name="memory_mb"
          label="Memory, MiB"
          min={96}
          max={1_048_576}
          of={template?.memory_mb}
          isFixed={template?.memory}
        />
        <Size name="disk_size_mb" label="Disk, MiB" min={64} max={16_777_216} of={template?.disk_size_mb} />
        <label>
          Timeout, s (0: never)
          <input name="timeout_s" type="number" min={0} max={31_536_000} placeholder="0" />
        </label>
        <label>
          After the timeout
          <select name="on_timeout">
            <option>pause</option>
            <option>destroy</option>
          </select>
        </label>
        <label>
          Metadata
          <input
            name="metadata"
            data-kind="code"
            placeholder="user=ada task=7"
            pattern="\s*([A-Za-z0-9_.\-]{1,64}=\S*\s*)*"
            title="Pairs of name=value with spaces between them"
            spellcheck={false}
          />
        </label>
        <label data-kind="flag">
          <input name="auto_resume" type="checkbox" />
          Auto-resume
        </label>
        <div class="actions">
          <button type="submit" data-look="primary" disabled={isSending.value}>
            Create
          </button>
        </div>
      </div>
      {problem.value && <ProblemNote problem={problem.value} />}
      <p class="visually-hidden" role="status">
        {made.value && `${made.value} runs`}
      </p>
    </form>
  );
}

function Size({
  name,
  label,
  min,
  max,
  of,
  isFixed = false,
}: {
  name: string;
  label: string;
  min: number;
  max: number;
  /** What it is when nothing is said. */
  of: number | undefined;
  /** The template has a saved memory: it is that of the machine that was saved. */
  isFixed?: boolean;
}): JSX.Element {
  return (
    <label>
      {label}
      <input
        name={name}
        type="number"
        min={min}
        max={max}
        placeholder={of === undefined ? undefined : String(of)}
        disabled={isFixed}
      />
    </label>
  );
}

function namesOf(templates: readonly Template[] | undefined, chosen: string): string[] {
  return [...new Set([...(templates ?? []).map(({ name }) => name), chosen])].sort();
}

/** What was filled in. */
function optionsOf(form: FormData): CreateOptions {
  const text = (name: string): string => String(form.get(name) ?? '').trim();
  const numbers = ['vcpus', 'memory_mb', 'disk_size_mb', 'timeout_s']
    .filter((name) => text(name) !== '')
    .map((name) => [name, Number(text(name))]);
  const metadata = Object.fromEntries(
    text('metadata')
      .split(/\s+/)
      .filter(Boolean)
      .map((pair) => [pair.slice(0, pair.indexOf('=')), pair.slice(pair.indexOf('=') + 1)]),
  );
  return {
    template: text('template'),
    ...Object.fromEntries(numbers),
    ...(text('timeout_s') !== '' && { on_timeout: text('on_timeout') === 'destroy' ? 'destroy' : 'pause' }),
    ...(form.has('auto_resume') && { auto_resume: true }),
    ...(Object.keys(metadata).length > 0 && { metadata }),
  };
}
