import type { FunctionComponent } from 'preact';
import type { Me } from '../lib/types.ts';

/** The pages, and the addresses that lead to them. Each is loaded when it is opened first. */

export interface Page {
  /** In the navigation and in the title of the window. */
  title: string;
  href: string;
  /** Whether the page is the one of a path. */
  matches(path: string): boolean;
  /** Without this scope the page would have nothing to show. */
  scope: Me['scopes'][number];
  load(): Promise<FunctionComponent>;
}

const below =
  (base: string) =>
  (path: string): boolean =>
    path === base || path.startsWith(`${base}/`);

export const pages: readonly Page[] = [
  {
    title: 'Sandboxes',
    href: '/',
    matches: (path) => path === '/',
    scope: 'read',
    load: async () => (await import('../pages/sandboxes/index.tsx')).Sandboxes,
  },
  {
    title: 'Templates',
    href: '/templates',
    matches: below('/templates'),
    scope: 'read',
    load: async () => (await import('../pages/templates/index.tsx')).Templates,
  },
  {
    title: 'Snapshots',
    href: '/snapshots',
    matches: below('/snapshots'),
    scope: 'read',
    load: async () => (await import('../pages/snapshots/index.tsx')).Snapshots,
  },
  {
    title: 'Events',
    href: '/events',
    matches: below('/events'),
    scope: 'read',
    load: async () => (await import('../pages/events/index.tsx')).Events,
  },
  {
    title: 'Visualizer',
    href: '/visualizer',
    matches: below('/visualizer'),
    scope: 'read',
    load: async () => (await import('../visualizer/index.tsx')).Visualizer,
  },
  {
    title: 'Hosts',
    href: '/hosts',
    matches: below('/hosts'),
    scope: 'admin',
    load: async () => (await import('../pages/hosts/index.tsx')).Hosts,
  },
  {
    title: 'Admin',
    href: '/admin',
    matches: below('/admin'),
    scope: 'admin',
    load: async () => (await import('../pages/admin/index.tsx')).Admin,
  },
];

/** One sandbox: a page of its own, that the list leads to. */
const sandboxPage: Page = {
  title: 'Sandbox',
  href: '/sandboxes',
  matches: below('/sandboxes'),
  scope: 'read',
  load: async () => (await import('../pages/sandbox/index.tsx')).SandboxPage,
};

/** The page of a path; undefined when there is none. */
export function pageOf(path: string): Page | undefined {
  return [...pages, sandboxPage].find(({ matches }) => matches(path));
}

/** Whether an entry of the navigation is marked as the present one. A sandbox belongs to the list of them. */
export function isCurrent(page: Page, path: string): boolean {
  return page.matches(path) || (page.href === '/' && sandboxPage.matches(path));
}
