import { effect, signal } from '@preact/signals';
import fc from 'fast-check';
import t from 'tap';
import { machineDrawing } from '../../../src/machines/drawings.ts';
import { headOf, lineOf, markOf } from '../../../src/ui/visualizer/graph/geometry.ts';
import { DARK, lightsAt } from '../../../src/ui/visualizer/graph/lights.ts';
import { looksOf } from '../../../src/ui/visualizer/graph/looks.ts';
import { type Direction, neighbour } from '../../../src/ui/visualizer/graph/neighbours.ts';
import * as viewport from '../../../src/ui/visualizer/graph/viewport.ts';
import { operationsOf } from '../../../src/ui/visualizer/history/operations.ts';
import { rulesOf } from '../../../src/ui/visualizer/history/rules.ts';
import { CREATE, FAILED_PAUSE, historyOf, REFUSAL } from './histories.ts';

const drawing = await machineDrawing('sandbox');
const entries = historyOf(...CREATE, REFUSAL, ...FAILED_PAUSE);
const operations = operationsOf(entries, rulesOf(drawing));
const lights = (index: number) => lightsAt(drawing, entries, operations, index);
const edgeFrom = (source: string, target: string) =>
  drawing.edges.find((edge) => edge.source === source && edge.target === target)!.id;

t.test('lit are the state, the way of its operation, and no other', async (t) => {
  const thawing = lights(9);
  t.equal(thawing.current, 'pausing.thawing');
  t.same(Object.fromEntries(thawing.states), {
    running: 'visited',
    'pausing.draining': 'visited',
    'pausing.freezing': 'visited',
    'pausing.snapshotting': 'failed',
    'pausing.thawing': 'current',
  });
  t.same(Object.fromEntries(thawing.edges), {
    [edgeFrom('running', 'pausing.draining')]: 'path',
    [edgeFrom('pausing.draining', 'pausing.freezing')]: 'path',
    [edgeFrom('pausing.freezing', 'pausing.snapshotting')]: 'path',
    [edgeFrom('pausing.snapshotting', 'pausing.thawing')]: 'last-back',
  });
  const over = lights(10);
  t.equal(over.states.get('running'), 'current', 'where it is counts more than where it was');
  t.equal(over.edges.get(edgeFrom('pausing.snapshotting', 'pausing.thawing')), 'back');
  t.equal(over.edges.get(edgeFrom('pausing.thawing', 'running')), 'last-back');
  t.equal(lights(7).edges.get(edgeFrom('pausing.draining', 'pausing.freezing')), 'last');
});

t.test('a refused command leaves the lights as they are, and is named', async (t) => {
  t.equal(lights(5).refused, 'resume');
  t.same(lights(5).edges, lights(4).edges);
  const during = historyOf(...FAILED_PAUSE.slice(0, 2), {
    ...REFUSAL,
    from: 'pausing.freezing',
    to: 'pausing.freezing',
  });
  const [before, after] = [1, 2].map((at) =>
    lightsAt(drawing, during, operationsOf(during, rulesOf(drawing)), at),
  );
  t.same(after!.edges, before!.edges, 'also in the middle of an operation');
  t.same(lightsAt(drawing, [], [], -1), DARK);
});

t.test('a change of the lights touches only what looks different', async (t) => {
  const now = signal(lights(7));
  const looks = looksOf(drawing, now);
  const touched: string[] = [];
  const stops = [...looks.states].map(([id, look]) =>
    effect(() => {
      look.value;
      touched.push(id);
    }),
  );
  touched.length = 0;
  now.value = lights(8);
  t.same(touched.sort(), ['pausing.freezing', 'pausing.snapshotting']);
  for (const stop of stops) stop();
});

t.test('arrow keys lead along edges, and come to every state', async (t) => {
  t.equal(neighbour(drawing, 'nothing', 'down'), undefined);
  const leaves = drawing.states.filter(({ kind }) => kind !== 'compound');
  const reached = new Set<string>();
  const come = (id: string): void => {
    if (reached.has(id)) return;
    reached.add(id);
    for (const direction of ['left', 'right', 'up', 'down'] as const satisfies Direction[]) {
      const next = neighbour(drawing, id, direction);
      if (next !== undefined) come(next);
    }
  };
  come('creating.disk');
  t.same([...reached].sort(), leaves.map(({ id }) => id).sort());
});

t.test('the next state of the way is under an arrow key', async (t) => {
  const place = (id: string) => drawing.states.find((state) => state.id === id)!;
  const [from, to] = [place('pausing.freezing'), place('pausing.snapshotting')];
  const isBelow = to.y - from.y > Math.abs(to.x - from.x);
  t.equal(neighbour(drawing, from.id, isBelow ? 'down' : 'right'), to.id);
});

t.test('a line ends where the head of its arrow begins', async (t) => {
  const points = [
    [0, 0],
    [0, 100],
    [100, 100],
  ] as const;
  t.equal(lineOf(points), 'M0 0L0 94Q0 100 6 100L92 100');
  t.equal(headOf(points), 'M100 100L91 103.8L91 96.2Z');
  t.same(markOf(points), [0, 9]);
  t.equal(lineOf([]), '');
});

const sizes = fc.record({
  width: fc.integer({ min: 200, max: 4000 }),
  height: fc.integer({ min: 200, max: 4000 }),
});
const seed = Number(process.env.DORMOUSE_TEST_SEED ?? Date.now() % 2 ** 31);
t.comment(`seed ${seed}; repeat with DORMOUSE_TEST_SEED`);

t.test('a drawing that fits is in the middle, whole', async (t) => {
  fc.assert(
    fc.property(sizes, sizes, (size, window) => {
      const { x, y, scale } = viewport.fit(size, window);
      const right = window.width - (x + size.width * scale);
      const bottom = window.height - (y + size.height * scale);
      return (
        scale === viewport.MIN_SCALE ||
        (x > 0 && y > 0 && Math.abs(x - right) < 1e-6 && Math.abs(y - bottom) < 1e-6)
      );
    }),
    { seed },
  );
  t.pass('for all');
});

t.test('zooming keeps the point under the pointer, within bounds', async (t) => {
  const view = { x: 10, y: 20, scale: 1 };
  const zoomed = viewport.zoomAt(view, 2, 110, 220);
  t.same(zoomed, { x: -90, y: -180, scale: 2 });
  t.equal(viewport.zoomAt(view, 1e6, 0, 0).scale, viewport.MAX_SCALE);
  t.equal(viewport.zoomAt(view, 1e-6, 0, 0).scale, viewport.MIN_SCALE);
});

t.test('a drawing cannot be dragged out of sight', async (t) => {
  const size = { width: 1000, height: 500 };
  const window = { width: 800, height: 600 };
  const view = { x: 0, y: 0, scale: 1 };
  for (const [dx, dy] of [
    [1e6, 1e6],
    [-1e6, -1e6],
  ] as const) {
    const { x, y } = viewport.panBy(view, dx, dy, size, window);
    t.ok(x < window.width && x + size.width > 0);
    t.ok(y < window.height && y + size.height > 0);
  }
});

t.test('what is shown is in sight afterwards, and stays where it is when it was', async (t) => {
  const window = { width: 800, height: 600 };
  const boxes = fc.record({
    x: fc.integer({ min: -5000, max: 5000 }),
    y: fc.integer({ min: -5000, max: 5000 }),
    width: fc.integer({ min: 1, max: 300 }),
    height: fc.integer({ min: 1, max: 300 }),
  });
  fc.assert(
    fc.property(boxes, fc.double({ min: 0.1, max: 1.5, noNaN: true }), (box, scale) => {
      const view = viewport.reveal({ x: 0, y: 0, scale }, box, window);
      const [left, top] = [view.x + box.x * scale, view.y + box.y * scale];
      const isSeen =
        left >= 0 &&
        top >= 0 &&
        left + box.width * scale <= window.width &&
        top + box.height * scale <= window.height;
      return isSeen && viewport.reveal(view, box, window).x - view.x < 1e-6;
    }),
    { seed },
  );
  t.pass('for all');
});

t.test('what is seen first is what matters, as large as can be read', async (t) => {
  const size = { width: 2400, height: 1700 };
  const state = { x: 1000, y: 800, width: 100, height: 40 };
  const centre = ({ x, y, scale }: viewport.View, box: viewport.Box) => [
    Math.round(x + (box.x + box.width / 2) * scale),
    Math.round(y + (box.y + box.height / 2) * scale),
  ];
  const large = { width: 2600, height: 1900 };
  t.same(
    viewport.opening(size, large, viewport.READABLE, state, state),
    viewport.fit(size, large),
    'all of it where there is room',
  );

  const window = { width: 700, height: 500 };
  const way = viewport.around([state, { ...state, x: 1400 }])!;
  t.same(way, { x: 1000, y: 800, width: 500, height: 40 });
  t.same(centre(viewport.opening(size, window, viewport.READABLE, way, state), way), [350, 244]);
  const far = viewport.around([state, { ...state, x: 2300 }])!;
  t.same(
    centre(viewport.opening(size, window, viewport.READABLE, far, state), state),
    [350, 244],
    'or else the one state',
  );
  t.equal(viewport.around([]), undefined);

  const { x, y } = viewport.opening(size, window, viewport.READABLE, undefined, undefined);
  t.ok(x >= 0 && y >= 0, 'or else its beginning');
});
