import t from 'tap';
import { runStep } from '../../../src/actors/system/run-step.ts';
import type { Step } from '../../../src/actors/system/step.ts';
import { DormouseError } from '../../../src/errors/index.ts';
import { fakeClock } from '../../support/fake-clock.ts';
import { gate, settled } from '../../support/gate.ts';
import { quiet } from '../../support/quiet.ts';

function run(
  body: Step<string, unknown>['run'],
  timeoutMs = 1000,
  direction: 'forward' | 'undo' = 'forward',
) {
  const clock = fakeClock();
  const step: Step<string, unknown> = { name: 'turnKey', direction, timeoutMs, run: body };
  const released: string[] = [];
  const stepRun = runStep(step, 'input', {
    ports: { clock, log: quiet },
    ledger: [{ kind: 'key', sinceMs: 1 }],
    released: async (kind) => void released.push(kind),
  });
  return { clock, run: stepRun, released };
}
/** A step that ends as soon as it is asked to. */
const obedient: Step<string, unknown>['run'] = (_, { signal }) =>
  new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
const never = (): Promise<never> => new Promise(() => {});

t.test('a step gets its input, ledger and a way to release, and reports output and duration', async (t) => {
  const done = gate<string>();
  const {
    run: own,
    clock,
    released,
  } = run(async (input, { ledger, released: release }) => {
    await release('key');
    return [input, ledger, await done.passed];
  });
  await settled();
  clock.advance(250);
  done.open('output');
  t.same(await own.settled, {
    ok: true,
    output: ['input', [{ kind: 'key', sinceMs: 1 }], 'output'],
    durationMs: 250,
  });
  t.same(released, ['key']);
  t.same(clock.armed(), [], 'its time limit is disarmed');
});

t.test('what a step throws is kept; what is not ours is wrapped once', async (t) => {
  const ours = await run(async () => {
    throw new DormouseError('DEVICE_BUSY', 'stuck', { data: { device: 'x' } });
  }).run.settled;
  t.match(ours, { ok: false, error: { code: 'DEVICE_BUSY', detail: 'stuck', data: { device: 'x' } } });
  const other = await run(async () => {
    throw new TypeError('undefined is not a function');
  }).run.settled;
  t.match(other, {
    ok: false,
    error: {
      code: 'STEP_FAILED',
      detail: 'turnKey failed.',
      causes: ['undefined is not a function'],
    },
  });
  const atOnce = await run(() => {
    throw new Error('before it returned');
  }).run.settled;
  t.match(atOnce, { ok: false, error: { code: 'STEP_FAILED', causes: ['before it returned'] } });
});

t.test('a step that takes too long is aborted', async (t) => {
  const { run: own, clock } = run(obedient, 1000);
  clock.advance(999);
  let over = false;
  void own.settled.then(() => {
    over = true;
  });
  await settled();
  t.equal(over, false);
  clock.advance(1);
  t.match(await own.settled, { ok: false, durationMs: 1000, error: { code: 'STEP_TIMEOUT' } });
  t.same(clock.armed(), [], 'no grace is left armed');
});

t.test('a step that ignores its abort is given up after a grace', async (t) => {
  const { run: own, clock } = run(never, 1000);
  clock.advance(1000);
  let over = false;
  void own.settled.then(() => {
    over = true;
  });
  await settled();
  t.same(clock.armed(), [5000]);
  clock.advance(4999);
  await settled();
  t.equal(over, false);
  clock.advance(1);
  t.match(await own.settled, { ok: false, durationMs: 6000, error: { code: 'STEP_TIMEOUT' } });
});

t.test('what a step that was given up releases after all is not heard', async (t) => {
  const late = gate();
  const over = gate();
  const {
    run: own,
    clock,
    released,
  } = run(async (_, { released: release }) => {
    await release('in time');
    await late.passed;
    await release('too late');
    over.open();
  });
  await settled();
  clock.advance(1000);
  clock.advance(5000);
  await own.settled;
  late.open();
  await over.passed;
  t.same(released, ['in time']);
});

t.test('a step that is done within the grace is done', async (t) => {
  const done = gate<string>();
  const { run: own, clock } = run(() => done.passed, 1000);
  clock.advance(1000);
  done.open('late');
  t.match(await own.settled, { ok: true, output: 'late' });
  await settled();
  t.same(clock.armed(), []);
});

t.test('the reason of an abort is kept, with what the step made of it as the cause', async (t) => {
  const { run: own } = run(
    (_, { signal }) =>
      new Promise((_resolve, reject) =>
        signal.addEventListener('abort', () => reject(new Error('the copy was interrupted'))),
      ),
  );
  own.abort(new DormouseError('CANCELLED', 'The caller has gone.', { data: { who: 'me' } }));
  own.abort(new DormouseError('HOST_DRAINING', 'a later reason does not count'));
  t.match(await own.settled, {
    ok: false,
    error: {
      code: 'CANCELLED',
      detail: 'The caller has gone.',
      data: { who: 'me' },
      causes: ['the copy was interrupted'],
    },
  });
  const { run: plain } = run(obedient);
  plain.abort(new DormouseError('CANCELLED', 'gone'));
  t.strictSame(await plain.settled, {
    ok: false,
    durationMs: 0,
    error: { code: 'CANCELLED', detail: 'gone' },
  });
});

t.test('a step without a time limit has no timer', async (t) => {
  const { run: own, clock } = run(obedient, Number.POSITIVE_INFINITY, 'undo');
  t.equal(own.direction, 'undo');
  t.same(clock.armed(), []);
  own.abort(new DormouseError('CANCELLED', 'left'));
  t.match(await own.settled, { ok: false });
});

t.test('an abort after the end changes nothing', async (t) => {
  const { run: own, clock } = run(async () => 'done');
  t.match(await own.settled, { ok: true });
  own.abort(new Error('too late'));
  await settled();
  t.match(await own.settled, { ok: true });
  t.same(clock.armed(), []);
});
