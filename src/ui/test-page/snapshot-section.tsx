import { useSignal } from '@preact/signals';
import type { JSX } from 'preact';
import { sandboxCommands } from '../lib/commands.ts';
import { deleteSnapshotCall, listSnapshotsCall } from '../lib/snapshot-calls.ts';
import { chosenId, sendShown, target } from './chosen.ts';
import { SendButton } from './send-button.tsx';

/** Makes, lists and removes snapshots. */
export function SnapshotSection(): JSX.Element {
  const name = useSignal('test-snapshot');
  return (
    <section class="panel" aria-labelledby="snapshot-title">
      <h2 id="snapshot-title">Snapshots</h2>
      <div class="test-row">
        <label class="test-wide">
          Snapshot name
          <input
            id="snapshot-name"
            data-kind="code"
            spellcheck={false}
            value={name.value}
            onInput={(event) => {
              name.value = event.currentTarget.value;
            }}
          />
        </label>
        <SendButton
          label="Snapshot"
          isDisabled={chosenId.value === '' || name.value === ''}
          onSend={() => sendShown(sandboxCommands.snapshot.call(target.peek(), { name: name.peek() }))}
        />
        <SendButton label="List snapshots" onSend={() => sendShown(listSnapshotsCall())} />
        <SendButton
          label="Delete snapshot"
          isDisabled={name.value === ''}
          onSend={() => sendShown(deleteSnapshotCall(name.peek()))}
        />
      </div>
    </section>
  );
}
