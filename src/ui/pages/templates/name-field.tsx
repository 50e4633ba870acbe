import type { JSX } from 'preact';
import { NAME_PATTERN } from '../../lib/commands.ts';

/** The name that a template or snapshot is to have. */
export function NameField(): JSX.Element {
  return (
    <label>
      Name
      <input
        name="name"
        data-kind="code"
        required
        pattern={NAME_PATTERN}
        title="Small letters, digits, dots, underscores and hyphens"
        spellcheck={false}
      />
    </label>
  );
}
