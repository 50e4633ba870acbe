import t from 'tap';
import { Lane } from '../../../src/actors/host/lane.ts';
import { gate, settled } from '../../support/gate.ts';

t.test('operations run alone, in the order asked', async (t) => {
  const lane = new Lane();
  const gates = [gate(), gate()];
  let running = 0;
  const seen: number[] = [];
  const results = gates.map(({ passed }, index) =>
    lane.run(`operation ${index}`, async () => {
      running += 1;
      t.equal(running, 1);
      await passed;
      seen.push(index);
      running -= 1;
      return index;
    }),
  );
  await settled();
  t.same(lane.status(), { current: 'operation 0', waiting: 1 });
  for (const { open } of gates.toReversed()) open();
  t.same(await Promise.all(results), [0, 1]);
  t.same(seen, [0, 1]);
  t.same(lane.status(), { current: undefined, waiting: 0 });
});

t.test('an operation that fails does not stop the lane', async (t) => {
  const lane = new Lane();
  const failing = lane.run('bad', async () => {
    throw new Error('busy');
  });
  const next = lane.run('good', async () => 'done');
  await t.rejects(failing, { message: 'busy' });
  t.equal(await next, 'done');
});

t.test('an operation whose caller went while it waited is not begun', async (t) => {
  const lane = new Lane();
  const first = gate();
  const running = lane.run('first', () => first.passed);
  const going = new AbortController();
  let begun = false;
  const waiting = lane.run(
    'second',
    async () => {
      begun = true;
    },
    going.signal,
  );
  going.abort(new Error('gone'));
  first.open();
  await t.rejects(waiting, { message: 'gone' });
  await running;
  t.equal(begun, false);
  t.same(lane.status(), { current: undefined, waiting: 0 });
});

t.test('an operation gets the signal that it was asked with', async (t) => {
  const lane = new Lane();
  const { signal } = new AbortController();
  t.equal(await lane.run('x', async (own) => own, signal), signal);
  t.equal((await lane.run('x', async (own) => own)).aborted, false);
});
