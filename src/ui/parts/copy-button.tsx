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
    await navigator.clipboard.writeText(text);
    setDone(true);
  };
  return (
    <button type="button" class="copy" data-look="quiet" data-size="row" onClick={copy} data-done={isDone}>
      <span>{label}</span>
      <span aria-live="polite">{isDone ? 'Copied' : ''}</span>
    </button>
  );
}
