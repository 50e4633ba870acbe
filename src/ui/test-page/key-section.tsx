import { useSignal } from '@preact/signals';
import type { JSX } from 'preact';
import { identity } from '../lib/me.ts';
import { apiKey, keepKey } from '../lib/session.ts';

/** Where the key is entered, and whose it is. */
export function KeySection(): JSX.Element {
  const text = useSignal('');
  const who = identity.value;
  return (
    <section class="panel" aria-labelledby="key-title">
      <h2 id="key-title">Key</h2>
      <form
        class="test-row"
        onSubmit={(event) => {
          event.preventDefault();
          keepKey(text.peek());
          text.value = '';
        }}
      >
        <label class="test-wide">
          API key (kept in this tab until it is closed)
          <input
            id="key"
            type="password"
            autocomplete="off"
            spellcheck={false}
            required
            placeholder={apiKey.value === '' ? '' : 'set'}
            value={text.value}
            onInput={(event) => {
              text.value = event.currentTarget.value;
            }}
          />
        </label>
        <button type="submit">Use</button>
        <output id="team" class="test-note">
          {who.known === 'yes' && `team ${who.me.team_name ?? who.me.team_id}`}
          {who.known === 'no' && `✕ ${who.problem.code}`}
        </output>
      </form>
    </section>
  );
}
