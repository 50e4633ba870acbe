import { signal } from '@preact/signals';
import t from 'tap';
import { machineDrawing } from '../../../src/machines/drawings.ts';
import { modelOf } from '../../../src/ui/visualizer/actor/model.ts';
import { liveTravel } from '../../../src/ui/visualizer/actor/travel.ts';
import { type Entries, merge } from '../../../src/ui/visualizer/history/entries.ts';
import { contextLines, linesInPlaces, notePlaces } from '../../../src/ui/visualizer/inspector/changes.ts';
import { CREATE, FAILED_PAUSE, historyOf, REFUSAL } from './histories.ts';

t.test('a context is told line by line, with what a transition has changed', async (t) => {
  const before = { tries: 0, vm: null, slot: { index: 7, name: 'a' }, heading: 'pausing' };
  const context = { tries: 1, vm: { pid: 5 }, slot: { index: 7, name: 'b' }, options: {} };
  t.same(
    contextLines(context, before).map(({ path, depth, value, change }) => [path, depth, value, change]),
    [
      ['options', 0, '{}', 'new'],
      ['slot', 0, null, 'changed'],
      ['slot.index', 1, '7', null],
      ['slot.name', 1, 'b', 'changed'],
      ['tries', 0, '1', 'changed'],
      ['vm', 0, null, 'changed'],
      ['vm.pid', 1, '5', 'new'],
    ],
  );
  const list = Array.from({ length: 11 }, (_, at) => at);
  t.equal(contextLines({ list }, null).at(-1)?.value, '10', 'a list keeps its order');
  t.ok(contextLines(context, null).every(({ change }) => change === null));
});

t.test('a line keeps its place while others come and go', (t) => {
  const places = new Map();
  const moving = { command: { name: 'pause', 'a.b': 1 }, heading: 'pausing', tries: 1 };
  const resting = { command: null, tries: 0 };
  for (const context of [resting, moving]) notePlaces(places, context);
  const shown = (context: object, before: object | null) =>
    linesInPlaces(places, { ...context }, before && { ...before }).map(({ path, value, change }) => [
      path,
      value,
      change,
    ]);
  t.same(shown(moving, resting), [
    ['command', null, 'changed'],
    ['command.a.b', '1', 'new'],
    ['command.name', 'pause', 'new'],
    ['heading', 'pausing', 'new'],
    ['tries', '1', 'changed'],
  ]);
  t.same(shown(resting, moving), [
    ['command', 'null', 'changed'],
    ['command.a.b', null, 'gone'],
    ['command.name', null, 'gone'],
    ['heading', null, 'gone'],
    ['tries', '0', 'changed'],
  ]);
  t.ok(
    shown(resting, null).every(([, , change]) => change === null),
    'what was before is not known',
  );
  t.end();
});

t.test('the present is looked at, until a person looks at a moment, which then stays', async (t) => {
  const history = historyOf(...CREATE, REFUSAL, ...FAILED_PAUSE);
  const entries = signal<Entries>(history.slice(3, 9));
  const model = modelOf(await machineDrawing('sandbox'), entries, liveTravel(entries));
  t.equal(model.entry.value, history[8]);
  entries.value = merge(entries.value, history.slice(9));
  t.equal(model.entry.value, history[10]);
  t.equal(model.isLive.value, true);

  model.goTo(3);
  t.equal(model.entry.value, history[6]);
  t.equal(model.before.value, history[4], 'what was refused is no transition');
  t.equal(model.isLive.value, false);
  entries.value = merge(entries.value, history.slice(0, 3));
  t.equal(model.entry.value, history[6], 'also when what was before it comes later');
  t.equal(model.lights.value.current, 'pausing.draining');
  t.equal(model.explanation.value, null, 'nothing had failed by then');
  t.equal(model.lastExplanation.value, null);

  model.goTo(99);
  t.equal(model.isLive.value, true, 'the last one is the present');
  t.match(model.explanation.value, { operation: 'pause', outcome: 'running' });
  model.goTo(0);
  model.goLive();
  t.equal(model.entry.value, history[10]);
});

t.test('a history without an entry has nothing to show', async (t) => {
  const entries = signal<Entries>([]);
  const model = modelOf(await machineDrawing('host'), entries, liveTravel(entries));
  t.equal(model.entry.value, undefined);
  t.equal(model.lights.value.current, null);
  t.equal(model.explanation.value, null);
  model.goTo(3);
  t.equal(model.isLive.value, true);
});
