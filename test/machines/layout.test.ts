import t from 'tap';
import { problemsOf } from '../../src/bus/schema.ts';
import { type DrawnState, MachineDrawing } from '../../src/machines/drawing.ts';
import { graphOf } from '../../src/machines/graph.ts';
import { kinds } from '../../src/machines/kinds.ts';
import { layOut } from '../../src/machines/layout.ts';
import { TYPE, textWidth } from '../../src/machines/measure.ts';
import { sheets } from '../../src/machines/sheets.ts';
import { titlePlace } from '../../src/machines/title.ts';
import { type Box, crossesBox, holds, isOnBorder, overlaps } from './geometry.ts';

t.setTimeout(120_000);

/** On a screen of 1600 pixels names of states are to have 11 pixels or more. */
const WIDTH_MAX = (1600 * TYPE.state) / 11;

for (const kind of kinds) {
  t.test(`the ${kind.kind} drawing can be read`, async (t) => {
    const graph = graphOf(kind);
    const drawing = await layOut(graph, sheets[kind.kind]);
    const { states, edges } = drawing;
    t.same(problemsOf(MachineDrawing, drawing), []);
    t.ok(drawing.width <= WIDTH_MAX, `${drawing.width} x ${drawing.height}`);
    const plates = states.filter((state) => state.kind !== 'compound');
    const stateOf = (id: string): DrawnState => states.find((state) => state.id === id)!;
    const paper: Box = { x: 0, y: 0, width: drawing.width, height: drawing.height };

    t.same(
      states
        .filter((state) => !holds(state.parent === null ? paper : stateOf(state.parent), state))
        .map(({ id }) => id),
      [],
      'a state is inside the one around it',
    );
    t.same(
      pairs(plates).filter(([a, b]) => overlaps(a, b)),
      [],
      'no state lies on another',
    );
    t.same(
      edges
        .filter(
          ({ source, target, points }) =>
            !isOnBorder(points.at(0)!, stateOf(source)) || !isOnBorder(points.at(-1)!, stateOf(target)),
        )
        .map(({ id }) => id),
      [],
      'edges begin and end at borders',
    );
    t.same(
      edges.flatMap(({ id, points }) =>
        plates.filter((plate) => crossesBox(points, plate)).map((plate) => `${id} through ${plate.id}`),
      ),
      [],
      'no edge runs through a state',
    );

    t.same(
      states
        .filter((state) => state.kind === 'compound')
        .filter((frame) => {
          const title = { ...titlePlace(frame, edges), width: textWidth(frame.label, TYPE.state), height: 1 };
          return !holds(frame, title);
        }),
      [],
      'titles are inside their frames',
    );

    const labels = edges.flatMap(({ id, label_box }) => (label_box ? [{ id, ...label_box }] : []));
    t.ok(labels.length > 2);
    t.same(
      labels.filter((label) => !holds(paper, label)),
      [],
      'labels are on the paper',
    );
    t.same(
      pairs(labels).filter(([a, b]) => overlaps(a, b)),
      [],
      'no label lies on another',
    );
    t.same(
      labels.flatMap((label) =>
        plates.filter((plate) => overlaps(label, plate)).map((plate) => `${label.id} on ${plate.id}`),
      ),
      [],
      'no label lies on a state',
    );
    t.same(
      labels.flatMap((label) =>
        edges
          .filter(({ id, points }) => id !== label.id && crossesBox(points, label))
          .map(({ id }) => `${id} through the label of ${label.id}`),
      ),
      [],
      'no edge runs through the label of another',
    );
  });

  t.test(`the sheet of the ${kind.kind} machine has a place for each state`, async (t) => {
    const outermost = graphOf(kind).states.filter(({ parent }) => parent === null);
    const { rows, upward } = sheets[kind.kind];
    t.same(rows.flat().sort(), outermost.map(({ id }) => id).sort());
    for (const id of upward) t.ok(outermost.some((state) => state.id === id && state.kind === 'compound'));
  });
}

t.test('the same graph has the same drawing', async (t) => {
  const graph = graphOf(kinds[2]!);
  const sheet = sheets['loop-registry'];
  t.same(await layOut(graph, sheet), await layOut(graph, sheet));
});

t.test('what leads on in a sandbox goes down, what brings it back goes up', async (t) => {
  const { states, edges } = await layOut(graphOf(kinds[0]!), sheets.sandbox);
  const heightOf = (id: string): number => states.find((state) => state.id === id)!.y;
  const inside = edges.filter(({ kind, source }) => kind === 'step' && source.includes('.'));
  for (const { source, target } of inside.filter(({ target }) => target.includes('.'))) {
    const isUp = sheets.sandbox.upward.includes(source.split('.')[0]!);
    t.equal(heightOf(target) < heightOf(source), isUp, `${source} → ${target}`);
  }
  t.ok(heightOf('running') < heightOf('paused') && heightOf('paused') < heightOf('destroyed'));
});

function pairs<T>(all: readonly T[]): Array<[T, T]> {
  return all.flatMap((one, index) => all.slice(index + 1).map((other): [T, T] => [one, other]));
}
