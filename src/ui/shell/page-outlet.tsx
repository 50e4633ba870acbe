import type { FunctionComponent, JSX } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import type { Problem } from '../lib/api.ts';
import { identity, may, me } from '../lib/me.ts';
import { persistently } from '../lib/persistently.ts';
import { location } from '../lib/router.tsx';
import { apiKey } from '../lib/session.ts';
import { ProblemNote } from '../parts/problem.tsx';
import { type Page, pageOf } from './pages.ts';

/** Loaded pages, so that the way back to one takes no time. */
const loaded = new Map<string, FunctionComponent>();

/** What stands in the main part: the page of the address. */
export function PageOutlet(): JSX.Element {
  const page = pageOf(location.value.path);
  const who = identity.value;
  if (!page) return <Missing />;
  if (who.known === 'no') return <Unknown problem={who.problem} />;
  if (me.value && !may(page.scope)) return <Forbidden scope={page.scope} />;
  // What another key has seen goes with its page.
  return <LoadedPage key={`${page.href} ${apiKey.value}`} page={page} />;
}

function LoadedPage({ page }: { page: Page }): JSX.Element | null {
  const [Component, setComponent] = useState<FunctionComponent | undefined>(() => loaded.get(page.href));
  const [hasFailed, setFailed] = useState(false);
  useEffect(() => {
    if (Component) return;
    persistently(page.load).then(
      (component) => {
        loaded.set(page.href, component);
        setComponent(() => component);
      },
      () => setFailed(true),
    );
  }, [page, Component]);
  if (hasFailed) return <NotLoaded />;
  return Component ? <Component /> : null;
}

function Missing(): JSX.Element {
  return (
    <section class="page">
      <h1 tabIndex={-1}>No such page</h1>
      <p>
        Nothing is at <code>{location.value.path}</code>.
      </p>
    </section>
  );
}

/** What may be shown depends on who one is. */
function Unknown({ problem }: { problem: Problem }): JSX.Element {
  return (
    <section class="page">
      <h1 tabIndex={-1}>The server does not say who you are</h1>
      <ProblemNote problem={problem} />
      <p>It is asked again every few seconds.</p>
    </section>
  );
}

function Forbidden({ scope }: { scope: string }): JSX.Element {
  return (
    <section class="page">
      <h1 tabIndex={-1}>Not with this key</h1>
      <p>
        What is shown here needs a key with the scope <code>{scope}</code>.
      </p>
    </section>
  );
}

/** A newer version of the pages was set up since this one was loaded, or the server is away. */
function NotLoaded(): JSX.Element {
  return (
    <section class="page">
      <h1 tabIndex={-1}>The page did not load</h1>
      <p>The server does not answer, or has a newer version of it.</p>
      <p>
        <button type="button" onClick={() => window.location.reload()}>
          Load again
        </button>
      </p>
    </section>
  );
}
