import t from 'tap';
import { MUTATIONS } from './mutations.ts';
import { firstFailure, replay } from './parallel.ts';

/** What the simulation is worth: each of these changes of the product breaks a promise, and it must notice each. */

t.setTimeout(900_000);

let caught = 0;

for (const mutation of MUTATIONS) {
  t.test(`noticed: ${mutation.name}`, async (t) => {
    const { failure, schedules } = await firstFailure(
      { kind: 'one fault', scenario: mutation.scenario },
      mutation,
    );
    t.ok(failure, `in ${schedules} schedules of "${mutation.scenario}"`);
    if (!failure) return;
    caught += 1;
    t.comment(`after at most ${schedules} schedules: ${failure.violations[0]}`);
  });
}

t.test('a failure is made simple, and its tape makes it again', async (t) => {
  const [mutation] = MUTATIONS.filter(({ name }) => name.startsWith('the vCPUs go on before'));
  if (!mutation) return t.fail('the mutation is gone');
  const { failure } = await firstFailure({ kind: 'one fault', scenario: mutation.scenario }, mutation);
  if (!failure) return t.fail('it is not noticed');
  // Faults that have nothing to do with it are found to be such.
  const noise = { class: 'stream', at: 3, kind: 'refused' } as const;
  const told = await replay({ failure: { ...failure, faults: [...failure.faults, noise] } }, mutation);
  t.same(told.tape.faults, failure.faults, 'one fault is left');
  t.same(told.tape.choices, [], 'and no choice');
  t.match(told.violations[0], /can still be loaded/);
  t.ok(told.story.length > 20, 'the story is told');
  const again = await replay({ tape: told.tape }, mutation);
  t.same(again.violations, told.violations);
  t.same(again.story, told.story);
  t.same((await replay({ tape: told.tape })).violations, [], 'the product itself passes it');
});

t.teardown(() => t.comment(`mutations caught: ${caught} of ${MUTATIONS.length}`));
