import { useSignal } from '@preact/signals';
import type { JSX } from 'preact';
import { getCall, type SandboxCommandName, sandboxCommands, type Values } from '../lib/commands.ts';
import type { Sandbox } from '../lib/types.ts';
import { chosenId, note, refresh, sandboxes, sendShown, target } from './chosen.ts';
import { SendButton } from './send-button.tsx';

/** Commands to the sandbox that is chosen. */
export function SandboxSection(): JSX.Element {
  const cmd = useSignal('uname -a; uptime');
  const hasNone = chosenId.value === '';
  const command = async (name: SandboxCommandName, values?: Values): Promise<void> => {
    const answer = await sendShown<Sandbox>(sandboxCommands[name].call(target.peek(), values));
    if (name === 'exec') return;
    if (answer) note(answer);
    else await refresh();
  };
  return (
    <section class="panel" aria-labelledby="sandbox-title">
      <h2 id="sandbox-title">Sandbox</h2>
      <div class="test-row">
        <label class="test-wide">
          Sandbox
          <select
            id="sandbox"
            value={chosenId.value}
            onChange={(event) => {
              chosenId.value = event.currentTarget.value;
            }}
          >
            {sandboxes.value.map(({ id, state }) => (
              <option key={id} value={id}>
                {id} ({state})
              </option>
            ))}
          </select>
        </label>
        <SendButton label="Refresh" onSend={refresh} />
        <SendButton label="Get" isDisabled={hasNone} onSend={() => sendShown(getCall(target.peek()))} />
        {(['pause', 'resume', 'restart', 'ping', 'destroy'] as const).map((name) => (
          <SendButton
            key={name}
            label={sandboxCommands[name].label}
            isDisabled={hasNone}
            onSend={() => command(name)}
          />
        ))}
      </div>
      <form
        class="test-row"
        onSubmit={(event) => {
          event.preventDefault();
          void command('exec', { cmd: cmd.peek() });
        }}
      >
        <label class="test-wide">
          Shell command
          <input
            id="cmd"
            data-kind="code"
            spellcheck={false}
            required
            value={cmd.value}
            onInput={(event) => {
              cmd.value = event.currentTarget.value;
            }}
          />
        </label>
        <button type="submit" disabled={hasNone}>
          Exec
        </button>
      </form>
    </section>
  );
}
