import t from 'tap';
import { serve } from '../../browser.ts';

const { loadNewer } = await import('../../../../src/ui/pages/events/pages.ts');
const { ROWS_KEPT } = await import('../../../../src/ui/pages/events/feed.ts');

const PAGE = 100;
const transition = (seq: number) => ({
  sandbox_id: 'a',
  seq,
  at: '2026-01-01T00:00:00.000Z',
  from: 'running',
  to: 'paused',
  cause: 'pause',
  step: null,
  step_duration_ms: null,
  error: null,
});

t.test('what is newer than what is known is read page by page', async (t) => {
  const asked: string[] = [];
  // Transitions without end, the newest first.
  await serve(t, ({ url = '' }, response) => {
    asked.push(url);
    const from = Number(new URL(url, 'http://test').searchParams.get('cursor') ?? 1_000_000);
    const transitions = Array.from({ length: PAGE }, (_, at) => transition(from - at));
    response.end(JSON.stringify({ transitions, next_cursor: String(from - PAGE) }));
  });
  const { signal } = new AbortController();
  const newer = await loadNewer(new Set(['a 999880', 'a 999870']), signal);
  t.equal(newer.length, 120);
  t.equal(newer.at(-1)?.seq, 999_881);
  t.equal(asked.length, 2);
  t.equal((await loadNewer(new Set(), signal)).length, ROWS_KEPT, 'and not more than is kept');
});
