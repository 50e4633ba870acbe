import type { JSX } from 'preact';
import { useEffect, useRef } from 'preact/hooks';
import { openFleet } from './lib/live.ts';
import { identity } from './lib/me.ts';
import { location } from './lib/router.tsx';
import { Header } from './shell/header.tsx';
import { KeyPage } from './shell/key-form.tsx';
import { PageOutlet } from './shell/page-outlet.tsx';
import { pageOf } from './shell/pages.ts';
import { RequestBar } from './shell/request-bar.tsx';

/** What is around every page. */
export function App(): JSX.Element {
  const { path, visit } = location.value;
  const who = identity.value;
  const needsKey = who.known === 'no' && (who.problem.status === 401 || who.problem.status === 403);
  const team = who.known === 'yes' ? who.me.team_id : undefined;
  const main = useFocusAfterNavigation(visit);
  // The header says whether the server is there.
  useEffect(() => (team === undefined ? undefined : openFleet()), [team]);
  useEffect(() => {
    const page = pageOf(path);
    document.title = page ? `${page.title} · Dormouse` : 'Dormouse';
  }, [path]);
  return (
    <div class="shell">
      <a class="skip-link" href="#main">
        Skip to the page
      </a>
      <Header />
      <main id="main" ref={main} tabIndex={-1}>
        {needsKey ? <KeyPage /> : <PageOutlet />}
      </main>
      <RequestBar />
    </div>
  );
}

/** After a way to another page, or to another part of one, the focus is on its heading, as if the page had been loaded anew. */
function useFocusAfterNavigation(visit: number) {
  const main = useRef<HTMLElement>(null);
  const before = useRef(visit);
  useEffect(() => {
    const element = main.current;
    if (before.current === visit || !element) return;
    before.current = visit;
    const focusHeading = (): boolean => {
      const heading = element.querySelector('h1');
      heading?.focus({ preventScroll: true });
      return heading !== null;
    };
    element.scrollTo(0, 0);
    // A page that is loaded first has no heading yet.
    const observer = new MutationObserver(() => {
      if (focusHeading()) observer.disconnect();
    });
    if (!focusHeading()) observer.observe(element, { childList: true, subtree: true });
    return () => observer.disconnect();
  }, [visit]);
  return main;
}
