import { useSignal } from '@preact/signals';
import type { JSX } from 'preact';
import { useRef } from 'preact/hooks';
import { ApiError, answered, respond } from '../lib/api.ts';
import type { ActorKind } from '../lib/types.ts';

/** Forms in which a machine can be taken along, with the names of their files. */
const FORMS = [
  { label: 'SVG picture', path: '/svg', file: '.svg' },
  { label: 'Mermaid', path: '/mermaid', file: '.mmd' },
  { label: 'XState definition', path: '/definition', file: '.machine.json' },
  { label: 'Drawing, JSON', path: '', file: '.drawing.json' },
] as const;

/** Downloads the machine of a kind of actors. */
export function ExportMenu({ kind }: { kind: ActorKind }): JSX.Element {
  const problem = useSignal('');
  const menu = useRef<HTMLDetailsElement>(null);
  const close = (): void => {
    if (menu.current) menu.current.open = false;
  };
  const closeAndFocus = (): void => {
    close();
    // What was pressed is out of sight.
    menu.current?.querySelector('summary')?.focus();
  };
  const take = async (path: string, file: string): Promise<void> => {
    problem.value = '';
    try {
      // A link cannot carry the key: the file is asked for, and then handed to the browser.
      const response = await respond('GET', `/v1/machines/${kind}${path}`);
      save(await answered(response.blob()), `${kind}${file}`);
      closeAndFocus();
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      problem.value = error.problem.detail;
    }
  };
  const onKeyDown = (event: KeyboardEvent): void => {
    if (event.key !== 'Escape' || !menu.current?.open) return;
    event.preventDefault();
    closeAndFocus();
  };
  const onFocusOut = ({ relatedTarget }: FocusEvent): void => {
    if (relatedTarget instanceof Node && !menu.current?.contains(relatedTarget)) close();
  };
  return (
    <details ref={menu} class="export-menu" onKeyDown={onKeyDown} onFocusOut={onFocusOut}>
      <summary>Export</summary>
      <div>
        {FORMS.map(({ label, path, file }) => (
          <button key={file} type="button" onClick={() => take(path, file)}>
            {label}
          </button>
        ))}
        <p role="status">{problem}</p>
      </div>
    </details>
  );
}

function save(blob: Blob, name: string): void {
  const link = document.createElement('a');
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  URL.revokeObjectURL(link.href);
}
