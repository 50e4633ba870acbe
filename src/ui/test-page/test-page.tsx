import type { JSX } from 'preact';
import { useEffect } from 'preact/hooks';
import { identity } from '../lib/me.ts';
import { sentRequests } from '../lib/send.ts';
import { RequestLog } from '../parts/request-log.tsx';
import { refresh } from './chosen.ts';
import { CreateSection } from './create-section.tsx';
import { KeySection } from './key-section.tsx';
import { SandboxSection } from './sandbox-section.tsx';
import { SnapshotSection } from './snapshot-section.tsx';
import './test-page.css';

/** `/test`: every request that a person makes of a sandbox, by hand, with what was sent, what was answered, and how long it took. */

export function TestPage(): JSX.Element {
  useEffect(() => {
    if (identity.value.known === 'yes') void refresh();
  }, [identity.value]);
  return (
    <main class="test-page">
      <h1>Dormouse test page</h1>
      <p>
        Makes real sandboxes. Every request is shown as a <code>curl</code> command, with its answer and its
        time. The <a href="/">dashboard</a> does the same with more comfort; <a href="/docs">the API page</a>{' '}
        describes all routes.
      </p>
      <KeySection />
      <CreateSection />
      <SandboxSection />
      <SnapshotSection />
      <section class="panel" aria-labelledby="requests">
        <h2 id="requests">Requests, newest first</h2>
        <div id="log" aria-live="polite">
          <RequestLog requests={sentRequests.value} />
        </div>
      </section>
    </main>
  );
}
