import { useSignal } from '@preact/signals';
import type { JSX } from 'preact';

/** A button that waits for the answer to what it sends. */
export function SendButton({
  label,
  isDisabled = false,
  onSend,
}: {
  label: string;
  isDisabled?: boolean;
  onSend: () => Promise<unknown>;
}): JSX.Element {
  const isSending = useSignal(false);
  const onClick = async (): Promise<void> => {
    isSending.value = true;
    try {
      await onSend();
    } finally {
      isSending.value = false;
    }
  };
  return (
    <button type="button" disabled={isDisabled || isSending.value} onClick={onClick}>
      {label}
    </button>
  );
}
