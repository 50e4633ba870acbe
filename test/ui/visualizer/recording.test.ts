import t from 'tap';
import { Compile } from 'typebox/compile';
import { Recording } from '../../../src/machines/recording.ts';
import { playerOf, travelOf } from '../../../src/ui/visualizer/recording/player.ts';
import { RecordingError, readRecording } from '../../../src/ui/visualizer/recording/read.ts';
import { CREATE, FAILED_PAUSE, historyOf } from './histories.ts';

const sandbox = historyOf(...CREATE, ...FAILED_PAUSE);
const registry = sandbox.slice(0, 2).map((one) => ({ ...one, kind: 'loop-registry' as const, id: 'host-1' }));
const moment = {
  context: { tries: 0 },
  ledger: [{ kind: 'live', since: '2026-01-01T00:00:00Z' }],
  timers: [],
};

const recording: Recording = {
  v: 1,
  scenario: 'pause',
  seed: 7,
  faults: [{ class: 'step', at: 12, kind: 'fail' }],
  violations: ['a paused sandbox has a monitor'],
  simulated_ms: 1000,
  frames: [
    { at_ms: 0, text: 'begins' },
    ...registry.map((inspection) => ({ at_ms: 1, inspection })),
    ...sandbox.map((inspection, at) => ({ at_ms: 10 + at, inspection: { ...inspection, moment } })),
    { at_ms: 900, text: 'fault', mark: 'fault' },
    { at_ms: 901, text: 'violation', mark: 'violation' },
  ],
};

t.test('a recording is read as it was written', async (t) => {
  t.ok(Compile(Recording).Check(recording), 'this one is one');
  t.same(readRecording(JSON.stringify(recording)), recording);
});

t.test('whatever else a file is, it is refused with a reason', async (t) => {
  const spoiled: [unknown, RegExp][] = [
    [null, /It is no object/],
    [[], /It is no object/],
    [{ ...recording, v: 2 }, /version is 2/],
    [{ ...recording, scenario: 3 }, /`scenario` is no text/],
    [{ ...recording, frames: {} }, /`frames` is no list/],
    [{ ...recording, violations: [1] }, /`violations` is no text/],
    [{ ...recording, faults: [{ class: 'step' }] }, /fault 0 is no text/],
    [{ ...recording, frames: [{ text: 'x' }] }, /Frame 0: `at_ms` is no number/],
    [{ ...recording, frames: [{ at_ms: 0, inspection: { kind: 'cat' } }] }, /kind that is not known: "cat"/],
    [{ ...recording, frames: [{ at_ms: 0, inspection: { ...sandbox[0], seq: '1' } }] }, /`seq` is no number/],
    [
      { ...recording, frames: [{ at_ms: 0, inspection: { ...sandbox[0], step_duration_ms: 'long' } }] },
      /`step_duration_ms` is no number/,
    ],
    [
      { ...recording, frames: [{ at_ms: 0, inspection: { ...sandbox[0], error: { code: 'X' } } }] },
      /`detail` is no text/,
    ],
    [
      { ...recording, frames: [{ at_ms: 0, inspection: { ...sandbox[0], moment: {} } }] },
      /`context` is no object/,
    ],
    [
      {
        ...recording,
        frames: [{ at_ms: 0, inspection: { ...sandbox[0], moment: { ...moment, ledger: [1] } } }],
      },
      /`ledger`/,
    ],
  ];
  for (const [value, reason] of spoiled) {
    const error = t.throws(() => readRecording(JSON.stringify(value)), { message: reason }, String(reason));
    t.ok(error instanceof RecordingError);
  }
  t.throws(() => readRecording('{'), { message: /no JSON/ });
});

t.test('it shows the sandbox first that had the most errors, and steps through all frames', async (t) => {
  const player = playerOf(recording);
  t.same(
    player.actors.map(({ key, entries }) => [key, entries.length]),
    [
      ['loop-registry host-1', 2],
      ['sandbox sb-1', 10],
    ],
  );
  t.equal(player.chosen.value, 'sandbox sb-1');
  player.goTo(-5);
  t.equal(player.frame.value, 0);
  player.goTo(999);
  t.equal(player.frame.value, recording.frames.length - 1);
  player.close();
});

t.test('it leads from one trouble to the next', async (t) => {
  const player = playerOf(recording);
  const found: number[] = [];
  for (let next = player.nextTrouble.value; next !== undefined; next = player.nextTrouble.value) {
    found.push(next);
    player.goTo(next);
  }
  t.same(found, [11, 13, 14], 'the error of a step, the fault, the violation');
  player.close();
});

t.test('the history of an actor is looked at where the player stands', async (t) => {
  const player = playerOf(recording);
  const actor = player.actors.find(({ kind }) => kind === 'sandbox')!;
  const travel = travelOf(player, actor);
  t.equal(travel.index.value, -1, 'it has not begun yet');
  player.goTo(3);
  t.equal(travel.index.value, 0);
  travel.goTo(4);
  t.equal(player.frame.value, 7);
  travel.goLive();
  t.equal(travel.index.value, 9);
  player.close();
});

t.test('it plays by itself until the end, and from there begins again', async (t) => {
  let tick: () => void = () => t.fail('it does not play');
  let isStopped = false;
  const player = playerOf(recording, (_, act) => {
    tick = act;
    isStopped = false;
    return () => {
      isStopped = true;
    };
  });
  player.play(true);
  tick();
  t.equal(player.frame.value, 1);
  for (let at = 0; at < recording.frames.length; at += 1) tick();
  t.equal(player.isPlaying.value, false);
  t.ok(isStopped);
  player.play(true);
  t.equal(player.frame.value, 0);
  player.goTo(2);
  t.equal(player.isPlaying.value, false, 'a person who steps has stopped it');
  player.close();
});
