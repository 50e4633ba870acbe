import { getEventListeners } from 'node:events';
import t from 'tap';
import { Outbox } from '../../../src/actors/system/outbox.ts';
import { DormouseError } from '../../../src/errors/index.ts';
import { fakeClock } from '../../support/fake-clock.ts';
import { gate, settled } from '../../support/gate.ts';
import { quiet } from '../../support/quiet.ts';

/** A stream of the test's own: stores what it is given while `open`. */
function stream() {
  const stored: number[] = [];
  const at = { open: true, tries: 0 };
  return {
    at,
    stored,
    append: async (event: number) => {
      at.tries += 1;
      if (!at.open) throw new Error('the stream is away');
      stored.push(event);
    },
  };
}

function outbox(sink: { append(event: number): Promise<void> }, waiting: readonly number[] = []) {
  const clock = fakeClock();
  const acknowledged: number[] = [];
  const box = new Outbox<number>(sink, waiting, { clock, log: quiet }, (event) => acknowledged.push(event));
  return { box, clock, acknowledged };
}

t.test('events go out in order, those of an earlier life first', async (t) => {
  const sink = stream();
  const { box, acknowledged } = outbox(sink, [1, 2]);
  box.push(3);
  box.push(4);
  await box.flushed(AbortSignal.timeout(20_000));
  t.same(sink.stored, [1, 2, 3, 4]);
  t.same(acknowledged, [1, 2, 3, 4]);
});

t.test('one at a time: the next is sent when the one before is acknowledged', async (t) => {
  const first = gate();
  const begun: number[] = [];
  const { box, acknowledged } = outbox({
    append: async (event) => {
      begun.push(event);
      if (event === 1) await first.passed;
    },
  });
  box.push(1);
  box.push(2);
  await settled();
  t.same(begun, [1]);
  t.same(acknowledged, []);
  first.open();
  await box.flushed(AbortSignal.timeout(20_000));
  t.same(begun, [1, 2]);
});

t.test('while the stream is away events wait, and are tried again ever more rarely', async (t) => {
  const sink = stream();
  sink.at.open = false;
  const { box, clock, acknowledged } = outbox(sink);
  box.push(1);
  await settled();
  const delays: number[] = [];
  for (let round = 0; round < 8; round += 1) {
    const [delay = -1] = clock.armed();
    t.equal(clock.armed().length, 1, 'one retry is armed');
    delays.push(delay);
    clock.advance(delay);
    await settled();
  }
  t.same(delays, [200, 400, 800, 1600, 3200, 6400, 10_000, 10_000]);
  t.same(acknowledged, []);
  box.push(2);
  await settled();
  sink.at.open = true;
  const flushed = box.flushed(AbortSignal.timeout(20_000));
  clock.advance(10_000);
  await flushed;
  t.same(sink.stored, [1, 2], 'in order, each once');
  t.same(clock.armed(), []);

  sink.at.open = false;
  box.push(3);
  await settled();
  t.same(clock.armed(), [200], 'after a success the back-off begins anew');
});

t.test('an event that comes at the moment in which the box runs empty is not left lying', async (t) => {
  const sink = stream();
  const { box, acknowledged } = outbox(sink);
  const flushes: Promise<void>[] = [];
  for (let event = 0; event < 20; event += 1) {
    box.push(event);
    // Ever later in the turn in which the one before is acknowledged.
    for (let turns = 0; turns < event; turns += 1) await undefined;
    flushes.push(box.flushed(AbortSignal.timeout(20_000)));
  }
  await settled();
  t.same(sink.stored, [...Array(20).keys()]);
  t.same(acknowledged, [...Array(20).keys()]);
  await Promise.all(flushes);
});

t.test('who waits for the stream can go', async (t) => {
  const sink = stream();
  sink.at.open = false;
  const { box } = outbox(sink, [1]);
  const going = new AbortController();
  const flushed = box.flushed(going.signal);
  going.abort(new Error('gone'));
  await t.rejects(flushed, { message: 'gone' });
  await t.rejects(box.flushed(going.signal), { message: 'gone' }, 'also who had gone before');
});

t.test('a closed box sends nothing any more', async (t) => {
  const sink = stream();
  sink.at.open = false;
  const { box, clock, acknowledged } = outbox(sink, [1]);
  await settled();
  t.equal(sink.at.tries, 1);
  box.close();
  sink.at.open = true;
  clock.advance(60_000);
  box.push(2);
  await settled();
  t.equal(sink.at.tries, 1);
  t.same(acknowledged, []);
});

t.test('a box that is closed while it sends stops after that event', async (t) => {
  const first = gate();
  const begun: number[] = [];
  const { box, clock } = outbox(
    {
      append: async (event) => {
        begun.push(event);
        await first.passed;
      },
    },
    [1, 2],
  );
  box.close();
  first.fail(new Error('away'));
  await settled();
  t.same(begun, [1]);
  t.same(clock.armed(), []);
});

t.test(
  'new events wait for those that follow, no longer than that, and not when somebody waits for them',
  async (t) => {
    const sink = stream();
    const clock = fakeClock();
    const box = new Outbox<number>(sink, [], { clock, log: quiet }, () => {}, 100);
    box.push(1);
    await clock.advance(60);
    box.push(2);
    await settled();
    t.same(sink.stored, []);
    await clock.advance(40);
    await settled();
    t.same(sink.stored, [1, 2], 'counted from the first');
    box.push(3);
    await box.flushed(AbortSignal.timeout(20_000));
    t.same(sink.stored, [1, 2, 3], 'at once');
    box.push(4);
    box.close();
    await clock.advance(1000);
    t.same(sink.stored, [1, 2, 3], 'a closed one sends nothing');
  },
);

t.test(
  'one that finishes sends what only waited for company, and does not wait for a stream that is away',
  async (t) => {
    const sink = stream();
    const clock = fakeClock();
    const box = new Outbox<number>(sink, [], { clock, log: quiet }, () => {}, 100);
    box.push(1);
    await box.finish();
    t.same(sink.stored, [1]);
    sink.at.open = false;
    const other = new Outbox<number>(sink, [2], { clock, log: quiet }, () => {}, 100);
    other.push(3);
    await other.finish();
    t.same([sink.stored, clock.armed()], [[1], []]);
  },
);

t.test(
  'a stream that takes longer for an event than the next one waits for company is given all of them',
  async (t) => {
    const first = gate();
    const stored: number[] = [];
    const clock = fakeClock();
    const append = async (event: number): Promise<void> => {
      if (event === 1) await first.passed;
      stored.push(event);
    };
    const box = new Outbox<number>({ append }, [], { clock, log: quiet }, () => {}, 100);
    box.push(1);
    clock.advance(100);
    box.push(2);
    clock.advance(100);
    first.open();
    await settled();
    t.same(stored, [1, 2], 'what came meanwhile goes after it');
    box.push(3);
    clock.advance(100);
    await settled();
    t.same(stored, [1, 2, 3], 'and what comes later goes out, too');
  },
);

t.test('while the stream is away for long, the oldest events make room', async (t) => {
  const sink = stream();
  sink.at.open = false;
  const { box, clock, acknowledged } = outbox(sink);
  for (let event = 0; event < 1_003; event += 1) box.push(event);
  await settled();
  t.same(acknowledged.length, 3, 'the journal drops them, too');
  sink.at.open = true;
  const flushed = box.flushed(AbortSignal.timeout(20_000));
  clock.advance(10_000);
  await flushed;
  t.equal(sink.stored.length, 1_000);
  t.equal(sink.stored.at(-1), 1_002);
  t.same(
    acknowledged.toSorted((a, b) => a - b),
    [...Array(1_003).keys()],
    'each once',
  );
});

t.test('one that is under way is not dropped for a later one', async (t) => {
  const first = gate();
  const { box, acknowledged } = outbox({ append: async (event) => (event === 0 ? first.passed : undefined) });
  for (let event = 0; event < 1_001; event += 1) box.push(event);
  t.same(acknowledged, [1]);
  first.open();
  await box.flushed(AbortSignal.timeout(20_000));
  t.same(acknowledged.length, 1_001);
});

t.test('what can never be stored does not keep what comes after it', async (t) => {
  const never = [new RangeError('no subject'), new DormouseError('PAYLOAD_TOO_LARGE', 'too large')];
  const stored: number[] = [];
  const { box, acknowledged } = outbox(
    {
      append: async (event) => {
        const error = never[event];
        if (error) throw error;
        stored.push(event);
      },
    },
    [0, 1, 2],
  );
  await box.flushed(AbortSignal.timeout(20_000));
  t.same([stored, acknowledged], [[2], [0, 1, 2]]);
});

t.test('who has waited for the stream leaves nothing behind', async (t) => {
  const sink = stream();
  const { box } = outbox(sink, [1]);
  const { signal } = new AbortController();
  await box.flushed(signal);
  t.same(getEventListeners(signal, 'abort'), []);
});
