import { readFileSync } from 'node:fs';
import path from 'node:path';
import t from 'tap';
import {
  commandsAreAnswered,
  declaredIn,
  everythingIsReached,
  nothingStaysForEver,
  restIsReached,
  statesAreInThePage,
  stepsLeadOn,
} from './checks.ts';
import { explore } from './explore.ts';
import { sandboxSubject, subjects } from './subjects.ts';

t.setTimeout(300_000);

/**
 * The machines of Dormouse leave nothing open: every state that they can come to is gone to, and everything that can happen
 * there is tried. `checks.test.ts` shows that each check finds what it looks for.
 */
const PAGE = readFileSync(path.join(import.meta.dirname, '..', '..', 'ARCHITECTURE.md'), 'utf8');

/** The part of the page that is made from the machine. */
function tableOf(name: string): string {
  const [, table = ''] =
    new RegExp(`^<!-- states: ${name.replace(' ', '-')}, .*?$(.*?)^<!-- /states -->$`, 'ms').exec(PAGE) ?? [];
  return table;
}

const counts: Array<{ name: string; made: number; declared: number }> = [];
for (const subject of subjects) {
  const exploration = explore(subject);
  const { places, taken } = exploration;
  const { states, transitions } = declaredIn(exploration);
  const made = transitions.filter(({ transition }) => taken.has(transition)).length;
  counts.push({ name: subject.name, made, declared: transitions.length });

  t.test(`the ${subject.name} machine is complete`, async (t) => {
    const moves = places.reduce((sum, place) => sum + place.moves.length, 0);
    t.comment(`${states.length} states, ${places.length} places, ${moves} events tried`);
    t.same(stepsLeadOn(exploration), [], 'a step that is done, that fails or that takes too long leads on');
    t.same(nothingStaysForEver(exploration), [], 'no state stays for ever, and steps have time limits');
    t.same(commandsAreAnswered(exploration), [], 'what is taken is answered once, the rest is refused');
    t.same(restIsReached(exploration), [], 'when steps are done, a rest or an end is come to');
    t.same(everythingIsReached(exploration), [], 'all that is declared can happen');
    t.same(statesAreInThePage(exploration, tableOf(subject.name)), [], 'ARCHITECTURE.md has every state');
  });
}

t.test('the states that are tagged as rest are those that the exploration takes for it', async (t) => {
  const { machine, rest, waiting } = sandboxSubject;
  const tagged = declaredIn({ subject: sandboxSubject }).states.filter((state) =>
    machine.getStateNodeById(`sandbox.${state}`).tags.includes('rest'),
  );
  t.same(tagged.sort(), [...rest, ...waiting].sort());
});

const sum = (of: 'made' | 'declared'): number => counts.reduce((total, count) => total + count[of], 0);
const each = counts.map(({ name, made, declared }) => `${name} ${made} of ${declared}`);
t.comment(`transitions covered: ${sum('made')} of ${sum('declared')} (${each.join(', ')})`);
