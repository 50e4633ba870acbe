import t from 'tap';
import { Timers } from '../../../src/actors/system/timers.ts';
import { fakeClock } from '../../support/fake-clock.ts';

t.test('a timer fires once, at its time', async (t) => {
  const clock = fakeClock();
  const timers = new Timers(clock);
  let fired = 0;
  timers.arm('a', clock.nowMs() + 100, () => (fired += 1));
  clock.advance(99);
  t.equal(fired, 0);
  clock.advance(1);
  t.equal(fired, 1);
  clock.advance(10_000);
  t.equal(fired, 1);
});

t.test('a time that has passed fires at once', async (t) => {
  const clock = fakeClock();
  const timers = new Timers(clock);
  let fired = 0;
  timers.arm('late', clock.nowMs() - 5_000, () => (fired += 1));
  t.same(clock.armed(), [0]);
  clock.advance(0);
  t.equal(fired, 1);
});

t.test('arming anew takes the earlier arming back, disarming all of it', async (t) => {
  const clock = fakeClock();
  const timers = new Timers(clock);
  const fired: string[] = [];
  timers.arm('a', clock.nowMs() + 100, () => fired.push('first'));
  timers.arm('a', clock.nowMs() + 200, () => fired.push('second'));
  timers.arm('b', clock.nowMs() + 300, () => fired.push('b'));
  timers.arm('c', clock.nowMs() + 300, () => fired.push('c'));
  t.same(clock.armed(), [200, 300, 300]);
  timers.disarm('b');
  timers.disarm('b');
  timers.disarm('unknown');
  clock.advance(1000);
  t.same(fired, ['second', 'c']);
});

t.test('a timer may arm itself again while it fires', async (t) => {
  const clock = fakeClock();
  const timers = new Timers(clock);
  let fired = 0;
  const again = (): void => {
    fired += 1;
    timers.arm('tick', clock.nowMs() + 10, again);
  };
  again();
  clock.advance(35);
  t.equal(fired, 4);
  timers.disarmAll();
  t.same(clock.armed(), []);
  clock.advance(1000);
  t.equal(fired, 4);
});
