import type { Signal } from '@preact/signals';
import type { JSX } from 'preact';
import { SandboxSelect } from '../../parts/sandbox-select.tsx';
import { badLineOf } from './calls.ts';
import { NameField } from './name-field.tsx';

/** What is to be said of a template that is to be built. */
export function BuildFields({
  source,
  canBePlatform,
}: {
  source: Signal<'file' | 'sandbox'>;
  /** Whether the key may make templates of the platform. */
  canBePlatform: boolean;
}): JSX.Element {
  return (
    <div class="fields">
      <NameField />
      <label>
        Made from
        <select
          value={source.value}
          onChange={(event) => {
            source.value = event.currentTarget.value === 'sandbox' ? 'sandbox' : 'file';
          }}
        >
          <option value="file">a file</option>
          <option value="sandbox">a sandbox's disk</option>
        </select>
      </label>
      {source.value === 'file' ? <FileFields /> : <SandboxSelect />}
      <label>
        vCPUs
        <input name="vcpus" type="number" min={1} max={64} placeholder="1" />
      </label>
      <label>
        Memory, MiB
        <input name="memory_mb" type="number" min={96} max={1_048_576} placeholder="512" />
      </label>
      <label>
        Disk, MiB
        <input name="disk_size_mb" type="number" min={64} max={16_777_216} placeholder="20480" />
      </label>
      <label>
        User
        <input name="user" data-kind="code" placeholder="root" spellcheck={false} />
      </label>
      <label>
        Folder
        <input name="cwd" data-kind="code" placeholder="/" pattern="/.*" spellcheck={false} />
      </label>
      <label class="build-wide">
        Start command, runs in every sandbox
        <input name="start_cmd" data-kind="code" spellcheck={false} />
      </label>
      <label class="build-wide">
        Ready command, exits 0 when ready
        <input name="ready_cmd" data-kind="code" spellcheck={false} />
      </label>
      <label class="build-wide">
        Environment, one NAME=value a line
        <textarea
          name="env"
          data-kind="code"
          rows={2}
          spellcheck={false}
          onInput={({ currentTarget: field }) => {
            const line = badLineOf(field.value);
            field.setCustomValidity(line === undefined ? '' : `${line} is no NAME=value`);
          }}
        />
      </label>
      <label data-kind="flag">
        <input name="overwrite" type="checkbox" />
        Overwrite
      </label>
      {canBePlatform && (
        <label data-kind="flag">
          <input name="platform" type="checkbox" />
          For all teams
        </label>
      )}
    </div>
  );
}

function FileFields(): JSX.Element {
  return (
    <>
      <label class="build-wide">
        File: tar, docker save, OCI or ext4
        <input name="file" type="file" required />
      </label>
      <label>
        Format
        <select name="format">
          <option value="auto">find out</option>
          <option>tar</option>
          <option>oci</option>
          <option>ext4</option>
        </select>
      </label>
    </>
  );
}
