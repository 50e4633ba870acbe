import t from 'tap';
import { freeRows, heldRows, heldText } from '../../../src/ui/lib/held-rows.ts';

const keyOf = ({ id }: { id: string }): string => id;
const rows = (...ids: string[]) => ids.map((id) => ({ id, at: 'now' }));
const ids = (all: readonly { id: string }[]): string => all.map(keyOf).join('');

t.test('while a list is held, no row changes its place', async (t) => {
  const shown = rows('a', 'b', 'c').map((row) => ({ ...row, at: 'before' }));
  const held = heldRows(shown, rows('n', 'c', 'a', 'm'), keyOf);
  t.equal(
    ids(held.rows),
    'abcm',
    'another order waits, and so does what is new between; what comes after all is added',
  );
  t.same(
    held.rows.map(({ at }) => at),
    ['now', 'before', 'now', 'now'],
    'each is as it is by now',
  );
  t.same([...held.gone], ['b'], 'what is gone stays, and is known to be');
  t.equal(held.waiting, 1);
  t.equal(heldText(held), '1 new, 1 gone');
});

t.test('what was gone and comes again has its place', async (t) => {
  const first = heldRows(rows('a', 'b'), rows('b'), keyOf);
  const again = heldRows(first.rows, rows('b', 'a'), keyOf);
  t.same([ids(again.rows), again.gone.size, again.waiting], ['ab', 0, 0]);
  t.equal(heldText(again), '');
});

t.test('an empty list has nothing that could move', async (t) => {
  t.equal(ids(heldRows([], rows('a', 'b'), keyOf).rows), 'ab');
  t.equal(ids(freeRows(rows('b', 'a')).rows), 'ba');
});
