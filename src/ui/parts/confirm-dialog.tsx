import type { ComponentChildren, JSX } from 'preact';
import type { Call } from '../lib/call.ts';
import { send } from '../lib/send.ts';
import { useSending } from '../lib/use-sending.ts';
import { Dialog } from './dialog.tsx';
import { ProblemNote } from './problem.tsx';

/** Asks whether a person means it, and sends the request then. It stays open when that fails. */
export function ConfirmDialog({
  title,
  label,
  call,
  onClose,
  onDone,
  children,
}: {
  title: string;
  /** Of the button that does it. */
  label: string;
  call: Call;
  onClose: () => void;
  onDone: () => void;
  /** What will happen. */
  children: ComponentChildren;
}): JSX.Element {
  const { isSending, problem, run } = useSending();
  const confirm = async (): Promise<void> => {
    await run(async () => {
      await send(call);
      onDone();
      onClose();
    });
  };
  return (
    <Dialog title={title} onClose={onClose}>
      <p>{children}</p>
      {problem.value && <ProblemNote problem={problem.value} />}
      <div class="actions">
        <button type="button" data-look="danger" disabled={isSending.value} onClick={confirm}>
          {label}
        </button>
        <button type="button" onClick={onClose}>
          Cancel
        </button>
      </div>
    </Dialog>
  );
}
