import t from 'tap';
import { systemClock, within } from '../src/clock.ts';
import { fakeClock } from './support/fake-clock.ts';

const DAY_MS = 24 * 60 * 60 * 1000;

t.test('wall-clock time and a time that never goes back', async (t) => {
  t.ok(Math.abs(systemClock.nowMs() - Date.now()) < 1000);
  const first = systemClock.monotonicMs();
  await systemClock.sleep(5);
  const passed = systemClock.monotonicMs() - first;
  t.ok(passed >= 4, `${passed} ms passed`);
});

t.test('a timer fires once; one that was taken back does not', async (t) => {
  const fired: string[] = [];
  const taken = systemClock.after(1, () => fired.push('taken back'));
  taken.cancel();
  taken.cancel();
  await new Promise<void>((resolve) => {
    systemClock.after(5, () => {
      fired.push('fired');
      resolve();
    });
  });
  t.same(fired, ['fired']);
});

t.test('a delay in the past fires as soon as it can', async (t) => {
  await new Promise<void>((resolve) => void systemClock.after(-1000, resolve));
  t.pass('it fired');
});

t.test('delays that are longer than the system can wait do not fire at once', async (t) => {
  const warnings: string[] = [];
  const warn = (warning: Error): void => void warnings.push(warning.name);
  process.on('warning', warn);
  t.teardown(() => process.off('warning', warn));
  const fired: string[] = [];
  const timers = [30 * DAY_MS, 2 ** 31, 2 ** 33, Number.MAX_SAFE_INTEGER].map((delayMs) =>
    systemClock.after(delayMs, () => fired.push(`after ${delayMs}`)),
  );
  const going = new AbortController();
  const sleeps = [30 * DAY_MS, 2 ** 31, Number.MAX_SAFE_INTEGER].map((delayMs) =>
    systemClock.sleep(delayMs, going.signal).then(
      () => fired.push(`slept ${delayMs}`),
      () => {},
    ),
  );
  // Node makes a delay of more than 2^31-1 ms one of 1 ms: this one would come after those.
  await systemClock.sleep(30);
  t.same(fired, []);
  t.same(warnings, []);
  for (const timer of timers) timer.cancel();
  going.abort(new Error('enough'));
  await Promise.all(sleeps);
  t.same(fired, []);
});

t.test('a sleep ends with the reason of its signal', async (t) => {
  const going = new AbortController();
  const sleep = systemClock.sleep(60_000, going.signal);
  going.abort(new RangeError('enough'));
  await t.rejects(sleep, new RangeError('enough'));
  await t.rejects(
    systemClock.sleep(60_000, going.signal),
    new RangeError('enough'),
    'also one that begins too late',
  );
  await systemClock.sleep(1, new AbortController().signal);
});

t.test('work under a time limit: its signal aborts then, and its timer does not outlive it', async (t) => {
  const clock = fakeClock();
  t.equal(await within(clock, 100, async (signal) => signal.aborted), false);
  t.same(clock.armed(), [], 'the timer is gone with the work');
  const late = within(clock, 100, (signal) => clock.sleep(1_000, signal));
  clock.advance(100);
  await t.rejects(late, /not done after 100 ms/);
  t.same(clock.armed(), []);
});
