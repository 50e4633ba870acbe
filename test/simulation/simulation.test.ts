import t from 'tap';
import { exploreInParallel, replay } from './parallel.ts';
import { emptyCells, kindLine, kindTable, stepTable, summary } from './report.ts';
import { together } from './together.ts';

/**
 * Every single fault at every place of every scenario, and random schedules. Which ones is the same in every run: what fails
 * here fails for everybody. `npm run simulate` tries others.
 */

t.setTimeout(900_000);

const RANDOM = { from: 1, count: 5_000 };

t.test('nothing is lost, whatever fails', async (t) => {
  const single = await exploreInParallel({ kind: 'one fault' });
  const random = await exploreInParallel({ kind: 'random', ...RANDOM });
  const all = together(single, random);
  for (const { scenario, faults, seed, violations } of all.failures)
    t.fail(`"${scenario}", seed ${seed ?? 'none'}, ${JSON.stringify(faults)}`, { violations });
  const [first] = all.failures;
  if (first) {
    const { tape, story } = await replay({ failure: first });
    t.comment(`the simplest form of the first: ${JSON.stringify(tape)}`);
    for (const line of story.slice(-60)) t.comment(line);
  }
  t.same(emptyCells(all), [], 'every step had every fault that it can have');
  t.ok(random.schedules >= RANDOM.count, 'all random schedules were made');
  t.comment(`seeds ${RANDOM.from} to ${RANDOM.from + RANDOM.count - 1}`);
  t.comment(`schedules simulated: ${summary(all)}`);
  t.comment(`faults injected: ${kindLine(all)}`);
  for (const line of `${stepTable(all)}\n\n${kindTable(all)}`.split('\n')) t.comment(line);
});

t.test('a run is the same whenever it is made', async (t) => {
  const work = { kind: 'random', from: 77, count: 40 } as const;
  const [once, again] = [await exploreInParallel(work), await exploreInParallel(work, { workers: 1 })];
  t.same(once.traces.sort(), again.traces.sort());
  t.equal(once.simulatedMs, again.simulatedMs);
});
