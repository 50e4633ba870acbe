import type { JSX } from 'preact';
import { useRef } from 'preact/hooks';
import { identity } from '../lib/me.ts';
import { apiKey, keepKey } from '../lib/session.ts';
import { Dialog } from '../parts/dialog.tsx';
import { ProblemNote } from '../parts/problem.tsx';

/** Where a person enters the API key, which this tab keeps until it is closed. */

/** In place of a page, while there is no key that works. */
export function KeyPage(): JSX.Element {
  const who = identity.value;
  return (
    <section class="page key-page">
      <h1 tabIndex={-1}>API key</h1>
      <p>This server answers those who have a key of a team. The first start has printed one.</p>
      {who.known === 'no' && (who.problem.code !== 'UNAUTHENTICATED' || apiKey.value !== '') && (
        <ProblemNote problem={who.problem} />
      )}
      <KeyForm />
    </section>
  );
}

/** To use another key. */
export function KeyDialog({ onClose }: { onClose: () => void }): JSX.Element {
  const who = identity.value;
  return (
    <Dialog title="API key" onClose={onClose}>
      {who.known === 'yes' && (
        <dl class="facts">
          <dt>team</dt>
          <dd>
            {who.me.team_name} <span class="mono dim">{who.me.team_id}</span>
          </dd>
          <dt>key</dt>
          <dd>{who.me.auth === 'none' ? 'this server asks for none' : who.me.key_name}</dd>
          <dt>scopes</dt>
          <dd>{who.me.scopes.join(', ')}</dd>
          <dt>server</dt>
          <dd class="mono">{who.me.version}</dd>
        </dl>
      )}
      <KeyForm onDone={onClose} />
      <div class="actions">
        <button
          type="button"
          disabled={apiKey.value === ''}
          onClick={() => {
            keepKey('');
            onClose();
          }}
        >
          Forget the key
        </button>
        <button type="button" onClick={onClose}>
          Cancel
        </button>
      </div>
    </Dialog>
  );
}

function KeyForm({ onDone = () => {} }: { onDone?: () => void }): JSX.Element {
  const input = useRef<HTMLInputElement>(null);
  const submit = (event: Event): void => {
    event.preventDefault();
    keepKey(input.current?.value ?? '');
    onDone();
  };
  return (
    <form class="key-form" onSubmit={submit}>
      <label>
        API key, kept in this tab until it is closed
        <input ref={input} type="password" data-kind="code" required autocomplete="off" spellcheck={false} />
      </label>
      <button type="submit" data-look="primary">
        Use
      </button>
    </form>
  );
}
