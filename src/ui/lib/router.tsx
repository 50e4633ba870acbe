import { signal } from '@preact/signals';
import type { AnchorHTMLAttributes, ComponentChildren, JSX } from 'preact';

/** The page's address, and links that change it without loading the page again. */

interface Place {
  path: string;
  query: URLSearchParams;
  /** Counts the places that were gone to; an address that was replaced is the same place. */
  visit: number;
}

/** Path and query as they are now. */
export const location = signal(here(0));

function here(visit: number): Place {
  const { pathname: path, search } = window.location;
  return { path, query: new URLSearchParams(search), visit };
}

window.addEventListener('popstate', () => {
  location.value = here(location.peek().visit + 1);
});

/** Goes to another address of this page. `replace`: the one before is not kept in the history. */
export function navigate(to: string, { replace = false } = {}): void {
  if (replace) window.history.replaceState(null, '', to);
  else window.history.pushState(null, '', to);
  const { visit } = location.peek();
  location.value = here(replace ? visit : visit + 1);
}

/** A link within the page. */
export function Link({
  href,
  children,
  ...rest
}: { href: string; children: ComponentChildren } & AnchorHTMLAttributes<HTMLAnchorElement>): JSX.Element {
  const follow = (event: MouseEvent): void => {
    if (event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    event.preventDefault();
    navigate(href);
    window.scrollTo(0, 0);
  };
  return (
    <a href={href} onClick={follow} {...rest}>
      {children}
    </a>
  );
}
