import t from 'tap';
import { machineDrawing } from '../../../src/machines/drawings.ts';
import { timeOf } from '../../../src/ui/visualizer/history/entries.ts';
import { operationsOf } from '../../../src/ui/visualizer/history/operations.ts';
import { rowsOf } from '../../../src/ui/visualizer/history/rows.ts';
import { rulesOf } from '../../../src/ui/visualizer/history/rules.ts';
import { entryAt, MAX_SEGMENTS, tapeOf } from '../../../src/ui/visualizer/history/tape.ts';
import { CREATE, FAILED_PAUSE, historyOf, REFUSAL, type Told } from './histories.ts';

const rules = rulesOf(await machineDrawing('sandbox'));

function tape(told: readonly Told[], at = told.length - 1) {
  const entries = historyOf(...told);
  const rows = rowsOf(entries, operationsOf(entries, rules), rules);
  return tapeOf(rows, rules, at, timeOf(entries.at(-1)!) + 1000);
}

t.test('states follow each other without a gap and fill the tape', async (t) => {
  const { segments } = tape([...CREATE, REFUSAL, ...FAILED_PAUSE]);
  t.equal(segments.length, 10, 'what was refused has no place of its own');
  let end = 0;
  for (const { x, width } of segments) {
    t.ok(Math.abs(x - end) < 1e-9);
    t.ok(width > 0);
    end = x + width;
  }
  t.ok(Math.abs(end - 1) < 1e-9);
  t.same(
    segments.slice(-4).map(({ state, kind }) => [state, kind]),
    [
      ['pausing.freezing', 'step'],
      ['pausing.snapshotting', 'step'],
      ['pausing.thawing', 'back'],
      ['running', 'rest'],
    ],
  );
});

t.test('a long time is longer, but not by as much; a rest has a largest length', async (t) => {
  const { segments } = tape([...CREATE, ...FAILED_PAUSE]);
  const widthOf = (state: string) => segments.find((segment) => segment.state === state)!.width;
  t.ok(widthOf('pausing.snapshotting') > widthOf('pausing.freezing'));
  t.ok(widthOf('running') < 2.5 * widthOf('pausing.freezing'), '60 s of rest beside a step of 20 ms');
});

t.test('marks stand where something else than a success happened', async (t) => {
  const { segments, marks } = tape([...CREATE, REFUSAL, ...FAILED_PAUSE]);
  t.same(
    marks.map(({ index, kind }) => [index, kind]),
    [
      [0, 'command'],
      [5, 'refusal'],
      [6, 'command'],
      [9, 'failure'],
    ],
  );
  const running = segments.find(({ index }) => index === 4)!;
  t.ok((marks[1]?.x ?? 0) > running.x && (marks[1]?.x ?? 0) < running.x + running.width);
  t.equal(marks[3]?.x, segments.find(({ index }) => index === 9)?.x);
});

t.test('a place on the tape is an entry', async (t) => {
  const { segments } = tape([...CREATE, ...FAILED_PAUSE]);
  t.equal(entryAt(segments, -1), 0);
  t.equal(entryAt(segments, 2), 9);
  for (const { index, x, width } of segments) t.equal(entryAt(segments, x + width / 2), index);
  t.equal(entryAt([], 0.5), undefined);
});

t.test('of a long history the part around the moment is drawn', async (t) => {
  const told = [...CREATE, ...Array.from({ length: 200 }, () => FAILED_PAUSE).flat()];
  const newest = tape(told).segments;
  t.equal(newest.length, MAX_SEGMENTS);
  t.equal(newest.at(-1)?.index, told.length - 1);
  const oldest = tape(told, 3).segments;
  t.equal(oldest[0]?.index, 0);
  t.ok(tape(told, 500).segments.some(({ index }) => index === 500));
});
