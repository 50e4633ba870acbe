import type { ComponentChildren, JSX } from 'preact';
import { useState } from 'preact/hooks';
import { ApiError, type Problem } from '../lib/api.ts';
import type { Call } from '../lib/call.ts';
import { send } from '../lib/send.ts';
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
  const [isSending, setSending] = useState(false);
  const [problem, setProblem] = useState<Problem>();
  const confirm = async (): Promise<void> => {
    setSending(true);
    setProblem(undefined);
    try {
      await send(call);
      onDone();
      onClose();
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      setProblem(error.problem);
      setSending(false);
    }
  };
  return (
    <Dialog title={title} onClose={onClose}>
      <p>{children}</p>
      {problem && <ProblemNote problem={problem} />}
      <div class="actions">
        <button type="button" data-look="danger" disabled={isSending} onClick={confirm}>
          {label}
        </button>
        <button type="button" onClick={onClose}>
          Cancel
        </button>
      </div>
    </Dialog>
  );
}
