import t from 'tap';
import type { ActorRecord } from '../../../src/actors/system/journal.ts';
import { KeptRecord } from '../../../src/actors/system/kept-record.ts';
import { DormouseError } from '../../../src/errors/index.ts';
import { fakeClock } from '../../support/fake-clock.ts';
import { gate, settled } from '../../support/gate.ts';
import { quiet } from '../../support/quiet.ts';

const record = (changes: Partial<ActorRecord> = {}): ActorRecord => ({
  v: 1,
  kind: 'door',
  id: 'd1',
  seq: 1,
  value: 'shut',
  context: {},
  enteredAtMs: 0,
  timers: {},
  ledger: [],
  outbox: [],
  replies: [],
  ...changes,
});

/** A journal in memory whose writes the test lets through one by one when `held`. */
function memory() {
  const writes: Array<{ record: ActorRecord; done: ReturnType<typeof gate<void>> }> = [];
  const at: { stored: ActorRecord | undefined; held: boolean; broken: boolean } = {
    stored: undefined,
    held: false,
    broken: false,
  };
  return {
    at,
    writes,
    load: async () => at.stored,
    async save(next: ActorRecord) {
      if (at.broken) throw new DormouseError('DISK_FULL', 'full');
      const done = gate();
      writes.push({ record: next, done });
      if (at.held) await done.passed;
      at.stored = next;
    },
  };
}

function kept(first = record()) {
  const journal = memory();
  const clock = fakeClock();
  return { journal, clock, kept: new KeptRecord(first, journal, { clock, log: quiet }) };
}

t.test('the journal has a record before memory has', async (t) => {
  const { journal, kept: own } = kept();
  journal.at.held = true;
  const saved = own.save(record({ seq: 2 }), { strict: true, durable: true });
  await settled();
  t.equal(own.current.seq, 1);
  journal.writes[0]?.done.open();
  await saved;
  t.equal(own.current.seq, 2);
});

t.test('strict: what cannot be written has not happened', async (t) => {
  const { journal, clock, kept: own } = kept();
  journal.at.broken = true;
  await t.rejects(own.save(record({ seq: 2 }), { strict: true, durable: true }), { code: 'DISK_FULL' });
  t.equal(own.current.seq, 1);
  t.same(clock.armed(), [], 'and is not tried again');
});

t.test('not strict: it is kept in memory and written when it can be, in its newest form', async (t) => {
  const { journal, clock, kept: own } = kept();
  journal.at.broken = true;
  await own.save(record({ seq: 2 }), { strict: false, durable: true });
  t.equal(own.current.seq, 2);
  await own.save(record({ seq: 3 }), { strict: false, durable: true });
  t.equal(clock.armed().length, 1, 'one retry is armed');
  clock.advance(500);
  await settled();
  t.equal(clock.armed().length, 1, 'and again while it fails');
  journal.at.broken = false;
  clock.advance(500);
  await settled();
  t.equal(journal.at.stored?.seq, 3);
  t.same(clock.armed(), []);
});

t.test('a write that is tried again never overtakes a newer one', async (t) => {
  const { journal, clock, kept: own } = kept();
  journal.at.broken = true;
  await own.save(record({ seq: 2 }), { strict: false, durable: true });
  journal.at.broken = false;
  journal.at.held = true;
  clock.advance(500);
  const newer = own.save(record({ seq: 3 }), { strict: true, durable: true });
  await settled();
  // Two at once would end in any order: the last one to be let through would stay.
  for (const { done } of journal.writes.toReversed()) done.open();
  await settled();
  for (const { done } of journal.writes.toReversed()) done.open();
  await newer;
  await settled();
  t.equal(journal.at.stored?.seq, 3);
  t.equal(own.current.seq, 3);
});

t.test(
  'an event that is acknowledged while the next record is written is dropped from that one too',
  async (t) => {
    const first = { seq: 1 };
    const second = { seq: 2 };
    const { journal, kept: own } = kept(record({ outbox: [first] }));
    journal.at.held = true;
    const saved = own.save(record({ seq: 2, outbox: [first, second] }), { strict: true, durable: true });
    await settled();
    own.published(first);
    t.same(own.current.outbox, []);
    journal.writes[0]?.done.open();
    await saved;
    t.same(own.current.outbox, [second]);
    own.published(second);
    t.same(own.current.outbox, []);
  },
);

t.test('a resource is taken off the ledger, in the journal first', async (t) => {
  const ledger = [
    { kind: 'disk', sinceMs: 1 },
    { kind: 'slot', sinceMs: 2 },
  ];
  const { journal, kept: own } = kept(record({ ledger }));
  await own.release('disk');
  t.same(own.current.ledger, [{ kind: 'slot', sinceMs: 2 }]);
  t.same(journal.at.stored?.ledger, own.current.ledger);
  await own.release('disk');
  t.equal(own.current.ledger.length, 1, 'a second time changes nothing');
});

t.test('a release that is written while the actor goes on does not bring the old state back', async (t) => {
  const { journal, kept: own } = kept(record({ ledger: [{ kind: 'disk', sinceMs: 1 }] }));
  journal.at.held = true;
  const saved = own.save(record({ seq: 2, value: 'open', ledger: own.current.ledger }), {
    strict: true,
    durable: true,
  });
  const released = own.release('disk');
  await settled();
  for (const { done } of journal.writes) done.open();
  await saved;
  await settled();
  for (const { done } of journal.writes) done.open();
  await released;
  for (const seen of [own.current, journal.at.stored]) {
    t.equal(seen?.seq, 2);
    t.same(seen?.ledger, []);
  }
});

t.test('a timer that has fired is gone', async (t) => {
  const armed = { atMs: 1, event: { type: 'x' } };
  const { kept: own } = kept(record({ timers: { a: armed, b: armed } }));
  own.fired('a');
  own.fired('a');
  t.same(Object.keys(own.current.timers), ['b']);
});

t.test('after close nothing is tried again', async (t) => {
  const { journal, clock, kept: own } = kept();
  journal.at.broken = true;
  await own.save(record({ seq: 2 }), { strict: false, durable: true });
  own.close();
  t.same(clock.armed(), []);
  await own.save(record({ seq: 3 }), { strict: false, durable: true });
  t.same(clock.armed(), []);
});

t.test("a closed one writes nothing any more: the journal may be its successor's", async (t) => {
  const { journal, kept: own } = kept(record({ ledger: [{ kind: 'disk', sinceMs: 1 }] }));
  journal.at.held = true;
  const saved = own.save(record({ seq: 2, ledger: own.current.ledger }), { strict: true, durable: false });
  await settled();
  const closed = own.close();
  own.settle();
  await own.release('disk');
  await own.save(record({ seq: 3 }), { strict: false, durable: true });
  journal.writes[0]?.done.open();
  await Promise.all([saved, closed]);
  await settled();
  t.same(
    journal.writes.map(({ record: { seq } }) => seq),
    [2],
    'what had begun is written to its end, and nothing after it',
  );
  t.equal(own.current.seq, 2);
});
