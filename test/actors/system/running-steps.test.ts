import t from 'tap';
import type { StepEnd, StepRun } from '../../../src/actors/system/run-step.ts';
import { RunningSteps } from '../../../src/actors/system/running-steps.ts';
import { gate, settled } from '../../support/gate.ts';

function stepRun(direction: 'forward' | 'undo' = 'forward') {
  const end = gate<StepEnd>();
  const aborts: unknown[] = [];
  const run: StepRun = { direction, settled: end.passed, abort: (reason) => void aborts.push(reason) };
  return { run, aborts, end: () => end.open({ ok: true, output: undefined, durationMs: 1 }) };
}

t.test('the end of a run is reported once, and taken once', async (t) => {
  const steps = new RunningSteps();
  const one = stepRun();
  const ends: StepEnd[] = [];
  steps.add('makeDisk', one.run, (end) => void ends.push(end));
  one.end();
  await settled();
  t.equal(ends.length, 1);
  t.equal(steps.take('makeDisk', one.run), true);
  t.equal(steps.take('makeDisk', one.run), false);
});

t.test('a run whose state was left is asked to end, and is not heard', async (t) => {
  const steps = new RunningSteps();
  const one = stepRun();
  steps.add('makeDisk', one.run, () => t.fail('it was heard'));
  steps.leave('makeDisk', 'left');
  steps.leave('unknown', 'left');
  t.same(one.aborts, ['left']);
  one.end();
  await settled();
  t.equal(steps.take('makeDisk', one.run), false);
});

t.test('a state that is entered again hears its new run only', async (t) => {
  const steps = new RunningSteps();
  const [old, young] = [stepRun(), stepRun()];
  const heard: string[] = [];
  steps.add('watchVm', old.run, () => void heard.push('old'));
  steps.add('watchVm', young.run, () => void heard.push('young'));
  old.end();
  young.end();
  await settled();
  t.same(heard, ['young']);
  t.equal(steps.take('watchVm', old.run), false);
  t.equal(steps.take('watchVm', young.run), true);
});

t.test('when the caller goes, forward runs are asked to end and undo goes on', async (t) => {
  const steps = new RunningSteps();
  const [forward, undo] = [stepRun('forward'), stepRun('undo')];
  steps.add('a', forward.run, () => {});
  steps.add('b', undo.run, () => {});
  steps.abortForward('gone');
  t.same(forward.aborts, ['gone']);
  t.same(undo.aborts, []);
});

t.test('abortAll waits for those that end late', async (t) => {
  const steps = new RunningSteps();
  const [one, two] = [stepRun(), stepRun('undo')];
  steps.add('a', one.run, () => {});
  steps.add('b', two.run, () => {});
  let over = false;
  const all = steps.abortAll('stop').then(() => {
    over = true;
  });
  t.same([one.aborts, two.aborts], [['stop'], ['stop']]);
  one.end();
  await settled();
  t.equal(over, false);
  two.end();
  await all;
});
