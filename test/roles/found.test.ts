import t from 'tap';
import { describeFound } from '../../src/roles/found.ts';

const nothing = {
  adopted: 0,
  resumedSteps: 0,
  undone: 0,
  stranded: 0,
  foreign: 0,
  cleared: 0,
  republished: 0,
};

t.test('what a host found at its start, in one line', async (t) => {
  t.equal(describeFound(nothing), undefined);
  t.equal(describeFound({ ...nothing, adopted: 1 }), 'found 1 sandbox');
  t.equal(
    describeFound({ ...nothing, adopted: 2, resumedSteps: 1, cleared: 3, republished: 1 }),
    'found 2 sandboxes; 1 operation that goes on; 3 leftovers, removed; 1 event to be sent again',
  );
  const all = describeFound({
    adopted: 1,
    resumedSteps: 2,
    undone: 3,
    stranded: 4,
    foreign: 5,
    cleared: 6,
    republished: 7,
  });
  for (let number = 1; number <= 7; number += 1) t.match(all, new RegExp(`\\b${number} `));
});
