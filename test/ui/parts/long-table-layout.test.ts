import t from 'tap';
import { columnsThatFit, rowWindow, tracksOf } from '../../../src/ui/parts/long-table-layout.ts';

t.test('only what is in sight is drawn, and a little beyond it', async (t) => {
  t.same(rowWindow(10_000, 30, 0, 600), { first: 0, end: 26 });
  t.same(rowWindow(10_000, 30, 30_000, 600), { first: 994, end: 1026 });
  t.same(rowWindow(5, 30, 0, 600), { first: 0, end: 5 }, 'a short one is drawn whole');
  t.same(rowWindow(0, 30, 0, 600), { first: 0, end: 0 });
  t.same(rowWindow(10, 30, 60_000, 600), { first: 10, end: 10 }, 'scrolled beyond what is left');
});

const columns = [
  { id: 'state', rem: 10 },
  { id: 'memory', rem: 5, rank: 2 },
  { id: 'host', rem: 6, grow: 1, rank: 1 },
  { id: 'actions', rem: 8 },
];
const fitting = (rem: number): string =>
  columnsThatFit(columns, rem)
    .map(({ id }) => id)
    .join(' ');

t.test('columns are left out by their rank, until all fit with the gaps between', async (t) => {
  // 10 + 8 and three gaps of 0.75 are always there.
  t.equal(fitting(10), 'state actions');
  t.equal(fitting(26.99), 'state actions');
  t.equal(fitting(27), 'state host actions');
  t.equal(fitting(32.74), 'state host actions');
  t.equal(fitting(32.75), 'state memory host actions', 'in their own order');
});

t.test('a rank that does not fit keeps out those after it', async (t) => {
  const wide = [{ rem: 4 }, { rem: 20, rank: 1 }, { rem: 1, rank: 2 }];
  t.equal(columnsThatFit(wide, 10).length, 1, 'what is shown does not change back and forth with the width');
});

t.test('columns are tracks', async (t) => {
  t.equal(tracksOf(columns), '10rem 5rem minmax(6rem, 1fr) 8rem');
});
