import { signal, useSignal } from '@preact/signals';
import type { JSX } from 'preact';
import { useEffect } from 'preact/hooks';
import { ApiError } from '../../lib/api.ts';
import { type SandboxCommand, sandboxCommands, type Target } from '../../lib/commands.ts';
import { may, me } from '../../lib/me.ts';
import { send } from '../../lib/send.ts';
import type { FleetRow, Sandbox } from '../../lib/types.ts';
import { CommandDialog } from '../../parts/command-dialog.tsx';
import { useKeptFocus } from '../../parts/use-kept-focus.ts';
import { CommandMenu } from './command-menu.tsx';
import { noteSandbox } from './details.ts';

/** What a row has asked to be opened: a command that needs something, or the menu of all commands. */
const opened = signal<{ target: Target; command?: SandboxCommand } | null>(null);

/** The dialogs of all rows. They are no part of a row: that one may go while its dialog is open. */
export function RowDialogs(): JSX.Element | null {
  // Whoever comes back to the page has left what was open there.
  useEffect(
    () => () => {
      opened.value = null;
    },
    [],
  );
  if (!opened.value) return null;
  const { target, command } = opened.value;
  const onClose = (): void => {
    opened.value = null;
  };
  if (command) return <CommandDialog command={command} target={target} onClose={onClose} />;
  return <CommandMenu target={target} onClose={onClose} />;
}

/** The commands that one wants most in each resting state, each at its own place in the row, and a menu of all of them. */
export function RowActions({ row: { id, state } }: { row: FleetRow }): JSX.Element {
  const group = useKeptFocus<HTMLSpanElement>();
  const isSending = useSignal(false);
  const target = { team: me.value?.team_id ?? '', id };
  const sendNow = async (command: SandboxCommand): Promise<void> => {
    if (isSending.peek()) return;
    isSending.value = true;
    try {
      noteSandbox(await send<Sandbox>(command.call(target)));
    } catch (error) {
      // Why it failed stands in the list of requests.
      if (!(error instanceof ApiError)) throw error;
    } finally {
      isSending.value = false;
    }
  };
  const open = (command?: SandboxCommand): void => {
    opened.value = { target, ...(command && { command }) };
  };
  const canSend = may('write');
  const turn = canSend && { running: sandboxCommands.pause, paused: sandboxCommands.resume }[state];
  return (
    <span ref={group} class="row-actions" tabIndex={-1}>
      {canSend && state === 'running' ? (
        <RowButton id={id} label="Exec" onClick={() => open(sandboxCommands.exec)} />
      ) : (
        <span />
      )}
      {turn ? (
        <RowButton id={id} label={turn.label} isDisabled={isSending.value} onClick={() => sendNow(turn)} />
      ) : (
        <span />
      )}
      <RowButton id={id} label="More" onClick={() => open()} />
    </span>
  );
}

function RowButton({
  id,
  label,
  isDisabled = false,
  onClick,
}: {
  id: string;
  label: string;
  isDisabled?: boolean;
  onClick: () => void;
}): JSX.Element {
  return (
    <button
      type="button"
      data-size="row"
      aria-disabled={isDisabled}
      onClick={onClick}
      aria-label={`${label} ${id}`}
    >
      {label}
    </button>
  );
}
