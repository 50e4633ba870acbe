import type { JSX } from 'preact';
import { useEffect, useState } from 'preact/hooks';

const SHOWN_MS = 1500;

/** Copies a text. The button says for a moment that it did, without changing its width. */
export function CopyButton({ text, label = 'Copy' }: { text: string; label?: string }): JSX.Element {
  const [isDone, setDone] = useState(false);
  useEffect(() => {
    if (!isDone) return;
    const timer = setTimeout(() => setDone(false), SHOWN_MS);
    return () => clearTimeout(timer);
  }, [isDone]);
  const copy = async (): Promise<void> => {
    setDone(await copied(text));
  };
  return (
    <button type="button" class="copy" data-look="quiet" data-size="row" onClick={copy} data-done={isDone}>
      <span>{label}</span>
      <span aria-live="polite">{isDone ? 'Copied' : ''}</span>
    </button>
  );
}

/** Copies a text; false when the browser does not let it. */
async function copied(text: string): Promise<boolean> {
  // Absent on a page that came over plain HTTP from another machine.
  const clipboard: Clipboard | undefined = navigator.clipboard;
  if (clipboard)
    return await clipboard.writeText(text).then(
      () => true,
      () => false,
    );
  const field = document.createElement('textarea');
  field.value = text;
  const before = document.activeElement;
  // What is outside of an open dialog cannot be selected.
  (before?.closest('dialog') ?? document.body).append(field);
  field.focus({ preventScroll: true });
  field.select();
  const isDone = document.execCommand('copy');
  field.remove();
  if (before instanceof HTMLElement) before.focus();
  return isDone;
}
