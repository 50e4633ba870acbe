import type { JSX } from 'preact';
import { createCall } from '../lib/commands.ts';
import type { Sandbox } from '../lib/types.ts';
import { note, sendShown, target } from './chosen.ts';

/** Makes a sandbox. */
export function CreateSection(): JSX.Element {
  const create = async (event: SubmitEvent): Promise<void> => {
    event.preventDefault();
    const form = new FormData(event.currentTarget as HTMLFormElement);
    const number = (name: string): number => Number(form.get(name));
    const made = await sendShown<Sandbox>(
      createCall(target.peek().team, {
        template: String(form.get('template')),
        vcpus: number('vcpus'),
        memory_mb: number('memory_mb'),
        disk_size_mb: number('disk_size_mb'),
      }),
    );
    if (made) note(made);
  };
  return (
    <section class="panel" aria-labelledby="create-title">
      <h2 id="create-title">Create</h2>
      <form class="test-row" onSubmit={create}>
        <label>
          Template
          <input id="template" name="template" defaultValue="minimal" required />
        </label>
        <label>
          vCPUs
          <input id="vcpus" name="vcpus" type="number" min={1} defaultValue="1" required />
        </label>
        <label>
          Memory, MiB
          <input id="memory_mb" name="memory_mb" type="number" min={96} defaultValue="512" required />
        </label>
        <label>
          Disk, MiB
          <input id="disk_size_mb" name="disk_size_mb" type="number" min={64} defaultValue="20480" required />
        </label>
        <button type="submit">Create</button>
      </form>
    </section>
  );
}
