import t from 'tap';
import { serve } from '../../browser.ts';
import { exampleRow } from '../../fleet-row.ts';

const { effect } = await import('@preact/signals');
const { openFleet } = await import('../../../../src/ui/lib/live.ts');
const { followDetails, sandboxes, usedBytes } = await import('../../../../src/ui/pages/sandboxes/details.ts');

t.test('requests that fail are sent again, and new sandboxes found on any page', async (t) => {
  const failed = new Set<string>();
  let isNewListed = false;
  await serve(t, ({ url = '' }, response) => {
    const { pathname, searchParams } = new URL(url, 'http://test');
    const cursor = searchParams.get('cursor');
    const answer = (body: object): void => {
      response.end(JSON.stringify(body));
    };
    if (pathname === '/v1/fleet') {
      const all = [exampleRow('old', 1), exampleRow('new', 1)];
      answer({ at: '2026-01-01T00:00:00.000Z', sandboxes: all, truncated: false, usual: [], cursor: 'c' });
    } else if (pathname === '/v1/fleet/stream')
      response.writeHead(200, { 'content-type': 'text/event-stream' }).write(':\n\n');
    else if (!failed.has(pathname)) {
      failed.add(pathname);
      const problem = { code: 'UNAVAILABLE', title: '', detail: '', status: 503 };
      response.writeHead(503).end(JSON.stringify(problem));
    } else if (pathname === '/v1/usage')
      answer({ sandboxes: [{ id: 'old', allocated_bytes: 7 }], hosts_missing: [] });
    else if (cursor === null) answer({ sandboxes: [{ id: 'old', seq: 1 }], next_cursor: 'second' });
    else {
      answer({ sandboxes: isNewListed ? [{ id: 'new', seq: 1 }] : [], next_cursor: null });
      isNewListed = true;
    }
  });
  t.teardown(openFleet());
  t.teardown(followDetails());
  await new Promise<void>((resolve) => {
    t.teardown(
      effect(() => {
        if (sandboxes.value.size === 2 && usedBytes.value.size === 1) resolve();
      }),
    );
  });
  t.same([...sandboxes.value.keys()], ['old', 'new']);
});
