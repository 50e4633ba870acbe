import t, { type Test } from 'tap';
import { serve } from '../../browser.ts';

const { newestTransitions } = await import('../../../../src/ui/pages/sandbox/transitions.ts');

/** Records that have transitions of these numbers. */
async function records(t: Test, seqs: readonly number[]): Promise<string[]> {
  const asked: string[] = [];
  await serve(t, ({ url = '' }, response) => {
    const { searchParams } = new URL(url, 'http://test');
    const after = Number(searchParams.get('after_seq'));
    asked.push(`${after}`);
    const page = seqs.filter((seq) => seq > after).slice(0, Number(searchParams.get('limit')));
    response.end(JSON.stringify({ transitions: page.map((seq) => ({ seq })) }));
  });
  return asked;
}
const newest = async (seq: number): Promise<number[]> =>
  (await newestTransitions('sb-1', seq, 100, new AbortController().signal)).map((one) => one.seq);
const range = (from: number, to: number): number[] =>
  Array.from({ length: to - from + 1 }, (_, at) => from + at);

t.test('of a long history only the newest are asked for', async (t) => {
  const asked = await records(t, range(1, 5000));
  t.same(await newest(5000), range(4901, 5000));
  t.same(asked, ['4900']);
});

t.test('records that are behind are not looked through', async (t) => {
  const asked = await records(t, range(1, 4990));
  t.same(await newest(5000), range(4901, 4990));
  t.same(asked, ['4900']);
});

t.test('what was before numbers leapt ahead is found', async (t) => {
  await records(t, [...range(1, 150), ...range(1151, 1160)]);
  t.same(await newest(1160), [...range(61, 150), ...range(1151, 1160)]);
});

t.test('a short history ends at its beginning', async (t) => {
  await records(t, [1, 2, 1003]);
  t.same(await newest(1003), [1, 2, 1003]);
});
