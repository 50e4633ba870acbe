import { useSignal } from '@preact/signals';
import type { JSX } from 'preact';
import { ApiError } from '../lib/api.ts';
import { SANDBOX_COMMAND_NAMES, type SandboxCommand, sandboxCommands, type Target } from '../lib/commands.ts';
import { may } from '../lib/me.ts';
import { send } from '../lib/send.ts';
import { CommandDialog } from './command-dialog.tsx';

/**
 * A button for each command, always at its place: those that a sandbox does not take now cannot be pressed. What needs nothing is sent
 * at once, and its answer is in the list of requests; what needs something, or takes something away, asks first. A key that may only read
 * is told so.
 */
export function CommandButtons({
  target,
  allowed,
  without = [],
  onDone = () => {},
}: {
  target: Target;
  /** As the sandbox tells it. */
  allowed: readonly string[];
  /** Commands that the page offers in another way. */
  without?: readonly string[];
  onDone?: (command: SandboxCommand, answer: unknown) => void;
}): JSX.Element {
  const asking = useSignal<SandboxCommand | null>(null);
  const sending = useSignal<ReadonlySet<string>>(new Set());
  const isReady = ({ name }: SandboxCommand): boolean => allowed.includes(name) && !sending.value.has(name);
  const start = async (command: SandboxCommand): Promise<void> => {
    if (!isReady(command)) return;
    if (command.isDangerous || command.fields.length > 0) {
      asking.value = command;
      return;
    }
    sending.value = new Set([...sending.value, command.name]);
    try {
      onDone(command, await send(command.call(target)));
    } catch (error) {
      // Why it failed stands in the list of requests.
      if (!(error instanceof ApiError)) throw error;
    } finally {
      sending.value = new Set([...sending.value].filter((name) => name !== command.name));
    }
  };
  if (!may('write'))
    return (
      <div class="actions" data-panel="commands">
        <p class="dim">This key may not send commands.</p>
      </div>
    );
  return (
    <div class="actions" data-panel="commands">
      {SANDBOX_COMMAND_NAMES.filter((name) => !without.includes(name))
        .map((name) => sandboxCommands[name])
        .map((command) => (
          <button
            key={command.name}
            type="button"
            title={command.summary}
            data-look={command.isDangerous ? 'danger' : undefined}
            // One that is disabled loses the focus.
            aria-disabled={!isReady(command)}
            onClick={() => start(command)}
          >
            {command.label}
          </button>
        ))}
      {asking.value && (
        <CommandDialog
          command={asking.value}
          target={target}
          onClose={() => {
            asking.value = null;
          }}
          onDone={(answer) => asking.value && onDone(asking.value, answer)}
        />
      )}
    </div>
  );
}
