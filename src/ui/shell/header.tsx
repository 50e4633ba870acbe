import { useSignal } from '@preact/signals';
import type { JSX } from 'preact';
import { useEffect } from 'preact/hooks';
import { fleet } from '../lib/live.ts';
import { identity, may } from '../lib/me.ts';
import { Link, location } from '../lib/router.tsx';
import { KeyDialog } from './key-form.tsx';
import { isCurrent, pages } from './pages.ts';

/** Name, ways to the pages, whose key it is, and whether what is shown is live. */
export function Header(): JSX.Element {
  const isOpen = useSignal(false);
  const { path } = location.value;
  useEffect(() => {
    isOpen.value = false;
  }, [path]);
  return (
    <header class="shell-header">
      <Link href="/" class="shell-name">
        <Logo />
        dormouse
      </Link>
      <button
        type="button"
        class="shell-menu"
        aria-expanded={isOpen.value}
        aria-controls="shell-nav"
        onClick={() => {
          isOpen.value = !isOpen.value;
        }}
      >
        Menu
      </button>
      <nav id="shell-nav" aria-label="Pages" data-open={isOpen.value}>
        <ul>
          {pages
            .filter(({ scope }) => scope !== 'admin' || may('admin'))
            .map((page) => (
              <li key={page.href}>
                <Link href={page.href} aria-current={isCurrent(page, path) ? 'page' : undefined}>
                  {page.title}
                </Link>
              </li>
            ))}
        </ul>
      </nav>
      <Connection />
      <Account />
    </header>
  );
}

const WORDS = { off: 'not live', connecting: 'connecting', open: 'live', waiting: 'no connection' } as const;

/** Whether the stream of the fleet is open: as a word and as a shape. Its place is as wide as its longest word. */
function Connection(): JSX.Element {
  const { status } = fleet.value;
  return (
    <span class="shell-connection" data-status={status} role="status">
      <svg viewBox="0 0 10 10" aria-hidden="true">
        {status === 'open' ? (
          <circle cx="5" cy="5" r="4" fill="currentColor" />
        ) : (
          <circle cx="5" cy="5" r="3.4" fill="none" stroke="currentColor" stroke-width="1.4" />
        )}
      </svg>
      {WORDS[status]}
    </span>
  );
}

/** The team of the key; a button to give another key. */
function Account(): JSX.Element {
  const isAsking = useSignal(false);
  const who = identity.value;
  const team = who.known === 'yes' ? (who.me.team_name ?? who.me.team_id) : 'no key';
  const close = (): void => {
    isAsking.value = false;
  };
  return (
    <span class="shell-account">
      <button
        type="button"
        data-look="quiet"
        title="Team of the API key; press to use another key"
        onClick={() => {
          isAsking.value = true;
        }}
      >
        {who.known === 'yes' && <span class="dim">team</span>}{' '}
        <span class="cut">{who.known === 'asking' ? '…' : team}</span>
      </button>
      {isAsking.value && <KeyDialog onClose={close} />}
    </span>
  );
}

/** A dormouse that sleeps: a ball, and the tail around it. */
function Logo(): JSX.Element {
  return (
    <svg viewBox="0 0 20 20" aria-hidden="true">
      <path
        d="M17.5 10a7.5 7.5 0 1 1-3.2-6.1M14.3 3.9a5 5 0 0 0-8.2 5.6 4.2 4.2 0 0 0 6.9 2.6"
        fill="none"
        stroke="currentColor"
        stroke-width="1.8"
        stroke-linecap="round"
      />
      <circle cx="10.2" cy="8.4" r="1.1" fill="currentColor" />
    </svg>
  );
}
