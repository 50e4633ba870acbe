import type { JSX } from 'preact';
import { useState } from 'preact/hooks';
import type { Field, SandboxCommand, Target, Values } from '../lib/commands.ts';
import { send } from '../lib/send.ts';
import { useSending } from '../lib/use-sending.ts';
import { Dialog } from './dialog.tsx';
import { ProblemNote } from './problem.tsx';

/** Asks for what a command needs, or whether a person means it, and sends it. It stays open when that fails. */
export function CommandDialog({
  command,
  target,
  onClose,
  onDone = () => {},
}: {
  command: SandboxCommand;
  target: Target;
  onClose: () => void;
  /** Gets what was answered. */
  onDone?: (answer: unknown) => void;
}): JSX.Element {
  const [values, setValues] = useState<Values>(() =>
    Object.fromEntries(command.fields.map(({ name, initial }) => [name, initial])),
  );
  const { isSending, problem, run } = useSending();
  const submit = async (event: Event): Promise<void> => {
    event.preventDefault();
    await run(async () => {
      onDone(await send(command.call(target, values)));
      onClose();
    });
  };
  return (
    <Dialog title={`${command.label} ${target.id}`} onClose={onClose}>
      <form onSubmit={submit}>
        <p>{command.summary}</p>
        {command.fields.map((field) => (
          <FieldInput
            key={field.name}
            field={field}
            value={values[field.name] ?? field.initial}
            onChange={(value) => setValues((before) => ({ ...before, [field.name]: value }))}
          />
        ))}
        {problem.value && <ProblemNote problem={problem.value} />}
        <div class="actions">
          <button
            type="submit"
            data-look={command.isDangerous ? 'danger' : 'primary'}
            disabled={isSending.value}
          >
            {command.label}
          </button>
          <button type="button" onClick={onClose}>
            Cancel
          </button>
        </div>
      </form>
    </Dialog>
  );
}

function FieldInput({
  field,
  value,
  onChange,
}: {
  field: Field;
  value: string | number | boolean;
  onChange: (value: string | number | boolean) => void;
}): JSX.Element {
  const { label, kind, min, max, pattern } = field;
  if (kind === 'flag')
    return (
      <label data-kind="flag">
        <input
          type="checkbox"
          checked={value === true}
          onChange={(event) => onChange(event.currentTarget.checked)}
        />
        {label}
      </label>
    );
  const shared = { 'data-kind': 'code', required: true, value: String(value) };
  if (kind === 'number')
    return (
      <label>
        {label}
        <input
          type="number"
          {...shared}
          min={min}
          max={max}
          onInput={(event) => onChange(event.currentTarget.valueAsNumber)}
        />
      </label>
    );
  return (
    <label>
      {label}
      <input
        type="text"
        {...shared}
        spellcheck={false}
        pattern={pattern}
        onInput={(event) => onChange(event.currentTarget.value)}
      />
    </label>
  );
}
