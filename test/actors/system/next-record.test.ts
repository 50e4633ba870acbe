import fc from 'fast-check';
import t from 'tap';
import type { AnyMachineSnapshot } from 'xstate';
import type { BaseContext } from '../../../src/actors/system/actor-options.ts';
import type { Decision, Effect } from '../../../src/actors/system/decide.ts';
import type { ActorRecord } from '../../../src/actors/system/journal.ts';
import { answersOf, type Cause, nextRecord, remember } from '../../../src/actors/system/next-record.ts';
import type { Step } from '../../../src/actors/system/step.ts';
import { DormouseError, type ErrorCode } from '../../../src/errors/index.ts';

const KINDS = ['live', 'disk', 'slot', 'vmm'] as const;
/** Step `k` acquires kind `k`. */
const step = (name: string): Step<BaseContext, unknown> => ({
  name,
  direction: 'forward',
  timeoutMs: 1,
  acquires: name === 'none' ? [] : [name],
  run: async () => {},
});
const before = (changes: Partial<ActorRecord<BaseContext>> = {}): ActorRecord<BaseContext> => ({
  v: 1,
  kind: 'door',
  id: 'd1',
  seq: 7,
  value: 'shut',
  context: { command: null },
  enteredAtMs: 100,
  timers: {},
  ledger: [],
  outbox: [],
  replies: [],
  ...changes,
});
const decision = (
  value: string,
  effects: Effect[] = [],
  command: BaseContext['command'] = null,
): Decision => ({
  // What is read of a snapshot here is its value and context.
  snapshot: { value, context: { command } } as unknown as AnyMachineSnapshot,
  effects,
});
const cause: Cause = { name: 'open', commandId: 'c' };
const at = { nowMs: 5000, first: false, step };

t.test('a state that is entered counts and is dated; an event that stays in it does not', async (t) => {
  const entered = nextRecord(before(), decision('open'), cause, at);
  t.equal(entered.entered, true);
  t.match(entered.record, { seq: 8, value: 'open', enteredAtMs: 5000 });
  t.match(entered.transition, {
    seq: 8,
    from: 'shut',
    to: 'open',
    cause: 'open',
    commandId: 'c',
    atMs: 5000,
  });

  const stayed = nextRecord(before(), decision('shut'), cause, at);
  t.equal(stayed.entered, false);
  t.match(stayed.record, { seq: 7, enteredAtMs: 100 });

  const again = nextRecord(
    before(),
    decision('shut', [{ kind: 'start', invokeId: 'i', step: 'none' }]),
    cause,
    at,
  );
  t.equal(again.entered, true, 'the same state, entered anew');
});

t.test('the first transition comes from nowhere', async (t) => {
  const { transition } = nextRecord(before({ seq: 0 }), decision('open'), cause, { ...at, first: true });
  t.match(transition, { seq: 1, from: null, to: 'open' });
});

t.test('a transition is told with its command, also when the command ends with it', async (t) => {
  const command = { id: 'c9', name: 'open', deadlineMs: 1 };
  const own: Cause = { name: 'step.done', commandId: null };
  t.equal(nextRecord(before(), decision('open', [], command), own, at).transition.commandId, 'c9');
  t.equal(nextRecord(before({ context: { command } }), decision('open'), own, at).transition.commandId, 'c9');
  t.equal(nextRecord(before(), decision('open'), own, at).transition.commandId, null);
});

t.test('what a step may acquire is in the ledger before it begins; what one released leaves', async (t) => {
  const { record } = nextRecord(
    before({ ledger: [{ kind: 'live', sinceMs: 1 }] }),
    decision('x', [{ kind: 'start', invokeId: 'i', step: 'disk' }]),
    { name: 'step.done', commandId: null, step: { name: 'y', durationMs: 2, released: ['live'] } },
    at,
  );
  t.same(record.ledger, [{ kind: 'disk', sinceMs: 5000 }]);
});

t.test('timers are absolute times, armed and disarmed by the machine or by an action', async (t) => {
  const { record } = nextRecord(
    before({
      timers: {
        old: { atMs: 1, event: { type: 'old' } },
        named: { atMs: 2, event: { type: 'named' } },
        kept: { atMs: 3, event: { type: 'kept' } },
      },
    }),
    decision('x', [
      { kind: 'disarm', timer: 'old' },
      { kind: 'arm', timer: 'after', delayMs: 250, event: { type: 'after' } },
      { kind: 'act', type: 'disarm', params: { timer: 'named' } },
      { kind: 'act', type: 'arm', params: { timer: 'expired', atMs: 9000, event: 'expired' } },
      { kind: 'act', type: 'answer', params: { commandId: 'c', error: null } },
    ]),
    cause,
    at,
  );
  t.same(record.timers, {
    kept: { atMs: 3, event: { type: 'kept' } },
    after: { atMs: 5250, event: { type: 'after' } },
    expired: { atMs: 9000, event: { type: 'expired' } },
  });
});

t.test(
  'property: over any walk the ledger is ordered and unique, seq has no gap, nothing is changed in place',
  async (t) => {
    const move = fc.record({
      value: fc.constantFrom('a', 'b', 'c'),
      starts: fc.array(fc.constantFrom(...KINDS, 'none'), { maxLength: 2 }),
      released: fc.subarray([...KINDS]),
      arms: fc.array(fc.tuple(fc.constantFrom('t1', 't2'), fc.nat(1000)), { maxLength: 2 }),
      disarms: fc.array(fc.constantFrom('t1', 't2'), { maxLength: 2 }),
      passedMs: fc.nat(1000),
    });
    const result = fc.check(
      fc.property(fc.array(move, { maxLength: 30 }), (moves) => {
        let record = before();
        let nowMs = 10_000;
        // The model: what is held, in the order in which it was taken, and the timers.
        let held: string[] = [];
        let timers: Record<string, number> = {};
        for (const { value, starts, released, arms, disarms, passedMs } of moves) {
          nowMs += passedMs;
          const effects: Effect[] = [
            ...disarms.map((timer): Effect => ({ kind: 'disarm', timer })),
            ...arms.map(
              ([timer, delayMs]): Effect => ({ kind: 'arm', timer, delayMs, event: { type: timer } }),
            ),
            ...starts.map((name): Effect => ({ kind: 'start', invokeId: name, step: name })),
          ];
          const frozen = JSON.stringify(record);
          const next = nextRecord(
            record,
            decision(value, effects),
            { name: 'step.done', commandId: null, step: { name: 'x', durationMs: 1, released } },
            { nowMs, first: false, step },
          );
          if (JSON.stringify(record) !== frozen) return false;
          held = held.filter((kind) => !(released as string[]).includes(kind));
          for (const kind of starts) if (kind !== 'none' && !held.includes(kind)) held.push(kind);
          timers = Object.fromEntries(
            Object.entries(timers).filter(([name]) => !disarms.includes(name as 't1')),
          );
          for (const [name, delayMs] of arms) timers[name] = nowMs + delayMs;

          const entered = record.value !== value || starts.length > 0;
          const ledger = next.record.ledger.map((entry) => entry.kind);
          const since = next.record.ledger.map((entry) => entry.sinceMs);
          if (JSON.stringify(ledger) !== JSON.stringify(held)) return false;
          if (since.some((time, index) => index > 0 && time < (since[index - 1] ?? 0))) return false;
          if (next.entered !== entered || next.record.seq !== record.seq + (entered ? 1 : 0)) return false;
          const armed = Object.entries(next.record.timers).map(([name, timer]) => [name, timer.atMs]);
          if (JSON.stringify(armed.sort()) !== JSON.stringify(Object.entries(timers).sort())) return false;
          record = next.record;
        }
        return true;
      }),
      { numRuns: 300 },
    );
    t.notOk(result.failed, `seed ${result.seed}, counterexample ${JSON.stringify(result.counterexample)}`);
  },
);

t.test(
  'answers: a value or an error for the caller, the same to remember, none without a command',
  async (t) => {
    const act = (params: Record<string, unknown>): Effect => ({ kind: 'act', type: 'answer', params });
    const answers = answersOf(
      decision('x', [
        act({ commandId: 'ok', error: null }),
        act({ commandId: 'bad', error: { code: 'DEVICE_BUSY', detail: 'stuck' } }),
        act({ commandId: null, error: null }),
        { kind: 'act', type: 'arm', params: { timer: 't', atMs: 1, event: 'e' } },
      ]),
      () => ({ view: 1 }),
      (id) => (id === 'ok' ? 'print' : undefined),
    );
    t.same(
      answers.map(({ commandId, remembered }) => ({ commandId, remembered })),
      [
        {
          commandId: 'ok',
          remembered: { commandId: 'ok', fingerprint: 'print', reply: { ok: true, value: { view: 1 } } },
        },
        {
          commandId: 'bad',
          remembered: {
            commandId: 'bad',
            fingerprint: '',
            reply: { ok: false, error: { code: 'DEVICE_BUSY', detail: 'stuck' } },
          },
        },
      ],
    );
    t.match(answers[0]?.outcome, { value: { view: 1 } });
    t.match(answers[1]?.outcome, { error: { code: 'DEVICE_BUSY' } });
  },
);

t.test('the newest answers are remembered', async (t) => {
  const reply = (index: number) => ({
    commandId: `c${index}`,
    fingerprint: '',
    reply: { ok: true as const, value: index },
  });
  const old = Array.from({ length: 32 }, (_, index) => reply(index));
  const kept = remember(old, [{ commandId: 'c32', remembered: reply(32), outcome: { value: 32 } }]);
  t.equal(kept.length, 32);
  t.equal(kept.at(0)?.commandId, 'c1');
  t.equal(kept.at(-1)?.commandId, 'c32');
});

t.test(
  'an answer that asks for the same again is not remembered, unless nobody can send it again',
  async (t) => {
    const failed = (commandId: string, code: ErrorCode) => {
      const error = { code, detail: 'no' };
      const remembered = { commandId, fingerprint: '', reply: { ok: false as const, error } };
      return { commandId, remembered, outcome: { error: DormouseError.fromRecord(error) } };
    };
    const answers = [
      failed('later', 'STEP_TIMEOUT'),
      failed('never', 'VMM_GONE'),
      failed('made', 'DISK_FULL'),
    ];
    t.same(
      remember([], answers, 'made').map(({ commandId }) => commandId),
      ['never', 'made'],
    );
  },
);
