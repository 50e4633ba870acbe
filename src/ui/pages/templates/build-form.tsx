import { useSignal } from '@preact/signals';
import type { JSX } from 'preact';
import { useEffect } from 'preact/hooks';
import { ApiError, type Problem } from '../../lib/api.ts';
import { may } from '../../lib/me.ts';
import { sendForLines } from '../../lib/send.ts';
import type { BuildProgress, Template } from '../../lib/types.ts';
import { sendFile } from '../../lib/upload.ts';
import { ProblemNote } from '../../parts/problem.tsx';
import { BuildFields } from './build-fields.tsx';
import { BuildProgressView } from './build-progress.tsx';
import { fromSandboxCall, type TemplateForm, uploadCall } from './calls.ts';

/** A line of the answer: how far it is, and last what was made or why it was not. */
interface BuildLine {
  progress?: BuildProgress;
  template?: Template;
  error?: Problem;
}

/** Builds a template from a file, or from the disk of a sandbox, and shows how far it is. */
export function BuildForm({ onDone }: { onDone: () => void }): JSX.Element {
  const progress = useSignal<BuildProgress | null>(null);
  const building = useSignal<AbortController | null>(null);
  const problem = useSignal<Problem | undefined>(undefined);
  const made = useSignal<string | undefined>(undefined);
  const source = useSignal<'file' | 'sandbox'>('file');
  useEffect(() => () => building.peek()?.abort(), [building]);
  const takeLine = ({ progress: now, template, error }: BuildLine): void => {
    if (now) progress.value = now;
    if (error) problem.value = error;
    if (template) made.value = template.name;
  };
  const build = async (form: FormData): Promise<void> => {
    const stop = new AbortController();
    building.value = stop;
    problem.value = undefined;
    made.value = undefined;
    progress.value = { stage: 'asking', done_bytes: null, total_bytes: null };
    const { signal } = stop;
    const file = form.get('file');
    try {
      if (file instanceof File)
        await sendFile<BuildLine>(uploadCall(formOf(form), file.name), file, {
          onLine: takeLine,
          onSent: (bytes) => {
            progress.value = { stage: 'uploading', done_bytes: bytes, total_bytes: file.size };
          },
          signal,
        });
      else
        await sendForLines<BuildLine>(
          fromSandboxCall(formOf(form), String(form.get('sandbox_id'))),
          takeLine,
          { signal },
        );
    } catch (error) {
      if (error instanceof ApiError) problem.value = error.problem;
      else if (!signal.aborted) throw error;
    } finally {
      building.value = null;
      progress.value = null;
      onDone();
    }
  };
  const submit = (event: SubmitEvent): void => {
    event.preventDefault();
    void build(new FormData(event.currentTarget as HTMLFormElement));
  };
  return (
    <form class="panel" onSubmit={submit} aria-label="Build a template">
      <BuildFields source={source} canBePlatform={may('admin')} />
      <div class="build-foot">
        {building.value ? (
          <button type="button" data-look="danger" onClick={() => building.peek()?.abort()}>
            Stop
          </button>
        ) : (
          <button type="submit" data-look="primary">
            Build
          </button>
        )}
        {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reached with the keyboard */}
        <div class="build-end" tabIndex={0}>
          {problem.value ? (
            <ProblemNote problem={problem.value} />
          ) : (
            <BuildProgressView progress={progress.value} made={made.value} />
          )}
        </div>
      </div>
    </form>
  );
}

function formOf(form: FormData): TemplateForm {
  const text = (name: string): string => String(form.get(name) ?? '').trim();
  return {
    name: text('name'),
    format: text('format') || 'auto',
    vcpus: text('vcpus'),
    memory_mb: text('memory_mb'),
    disk_size_mb: text('disk_size_mb'),
    user: text('user'),
    cwd: text('cwd'),
    env: text('env'),
    start_cmd: text('start_cmd'),
    ready_cmd: text('ready_cmd'),
    overwrite: form.has('overwrite'),
    isPlatform: form.has('platform'),
  };
}
