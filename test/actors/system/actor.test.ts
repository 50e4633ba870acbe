import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import t from 'tap';
import { assign, fromPromise, setup } from 'xstate';
import { Actor } from '../../../src/actors/system/actor.ts';
import type { ActorOptions, BaseContext } from '../../../src/actors/system/actor-options.ts';
import type { CommandContext } from '../../../src/actors/system/command.ts';
import { type ActorRecord, fileJournal, type Journal } from '../../../src/actors/system/journal.ts';
import type { Step } from '../../../src/actors/system/step.ts';
import { systemClock } from '../../../src/clock.ts';
import { DormouseError } from '../../../src/errors/index.ts';
import { quiet } from '../../support/quiet.ts';

/** A door: the smallest machine that has commands, steps, a failure, an undo and a timer. */
interface DoorContext extends BaseContext {
  turns: number;
  failure: { code: string; detail: string } | null;
}
const nothing = fromPromise<unknown, DoorContext>(async () => undefined);
const input = ({ context }: { context: DoorContext }): DoorContext => context;
const doorMachine = setup({
  types: {} as {
    context: DoorContext;
    events: { type: 'open' | 'close' | 'slam'; command: BaseContext['command'] };
  },
  actors: {} as Record<'turnKey' | 'turnBack' | 'lock', typeof nothing>,
  delays: { tired: 60 },
  actions: {
    answer: (_, _params: { commandId: string | null; error: unknown }) => {},
    begin: assign({ command: ({ event }) => event.command, failure: null }),
    fail: assign({ failure: ({ event }) => (event as unknown as { error: DoorContext['failure'] }).error }),
    count: assign({ turns: ({ context }) => context.turns + 1 }),
    rest: assign({ command: null }),
  },
}).createMachine({
  id: 'door',
  context: { command: null, turns: 0, failure: null },
  initial: 'shut',
  states: {
    shut: {
      tags: ['rest'],
      entry: [
        {
          type: 'answer',
          params: ({ context }) => ({ commandId: context.command?.id ?? null, error: context.failure }),
        },
        'rest',
      ],
      on: { open: { target: 'opening', actions: 'begin' } },
    },
    opening: {
      invoke: {
        id: 'turnKey',
        src: 'turnKey',
        input,
        onDone: { target: 'ajar', actions: 'count' },
        onError: { target: 'undoing', actions: 'fail' },
      },
    },
    undoing: { invoke: { id: 'turnBack', src: 'turnBack', input, onDone: 'shut', onError: 'shut' } },
    ajar: {
      tags: ['rest'],
      entry: [
        {
          type: 'answer',
          params: ({ context }) => ({ commandId: context.command?.id ?? null, error: null }),
        },
        'rest',
      ],
      on: { close: { target: 'shut', actions: 'begin' }, slam: 'waiting' },
    },
    waiting: { after: { tired: 'shut' } },
  },
});

const dir = await mkdtemp(path.join(os.tmpdir(), 'dormouse-actor-'));
t.teardown(() => rm(dir, { recursive: true, force: true }));
let files = 0;

/** A promise that the test settles. */
function gate<T = void>() {
  let open!: (value: T) => void;
  let fail!: (error: unknown) => void;
  const passed = new Promise<T>((resolve, reject) => {
    open = resolve;
    fail = reject;
  });
  return { passed, open, fail };
}

type DoorOptions = Partial<ActorOptions<DoorContext, { seq: number }>> & {
  turnKey?: Step<DoorContext, unknown>['run'];
  turnBack?: Step<DoorContext, unknown>['run'];
  timeoutMs?: number;
};

function door(options: DoorOptions = {}): ActorOptions<DoorContext, { seq: number }> {
  const { turnKey = async () => {}, turnBack = async () => {}, timeoutMs = 5000, ...rest } = options;
  return {
    kind: 'door',
    id: 'd1',
    machine: doorMachine,
    steps: {
      turnKey: { name: 'turnKey', direction: 'forward', timeoutMs, acquires: ['key'], run: turnKey },
      turnBack: { name: 'turnBack', direction: 'undo', timeoutMs: 5000, releases: ['key'], run: turnBack },
    },
    journal: fileJournal(path.join(dir, `door-${files++}.json`)),
    ports: { clock: systemClock, log: quiet },
    mailboxSize: 8,
    commands: ['open', 'close', 'slam'],
    whenBusy: 'refuse',
    view: (record) => ({ turns: record.context.turns, seq: record.seq }),
    ...rest,
  };
}

let ids = 0;
function by(commandId = `c${ids++}`, signal = new AbortController().signal): CommandContext {
  return { commandId, deadlineMs: Date.now() + 5000, signal };
}

t.test('a command is answered when its operation is over', async (t) => {
  const actor = await Actor.start(door(), undefined);
  t.same(await actor.ask('open', {}, by()), { turns: 1, seq: 3 });
  t.equal(actor.state, 'ajar');
  t.same(actor.allowed(), ['close', 'slam']);
  await actor.stop();
});

t.test('a command that the state does not take is refused with what it takes', async (t) => {
  const actor = await Actor.start(door(), undefined);
  await t.rejects(actor.ask('close', {}, by()), {
    code: 'SANDBOX_WRONG_STATE',
    data: { state: 'shut', allowed: ['open'] },
  });
  await actor.stop();
});

t.test(
  'who looks on is told of each transition once it is in the journal, and of each refusal',
  async (t) => {
    const seen: Array<Record<string, unknown>> = [];
    const journaled: number[] = [];
    const journal: Journal = {
      load: async () => undefined,
      async save(record) {
        await delay(2);
        journaled.push(record.seq);
      },
    };
    const actor = await Actor.start(
      door({
        journal,
        shownAs: { slam: ['bang', 'crash'] },
        inspected: ({ transition, refused }) => {
          const { seq, from, to, cause, commandId, step, record, snapshot } = transition;
          t.ok(journaled.includes(seq), `${seq} is in the journal`);
          t.equal(record.seq, seq);
          t.equal(snapshot.value, to);
          seen.push({ seq, from, to, cause, commandId, step, refused });
        },
      }),
      undefined,
    );
    await actor.ask('open', {}, by('c-open'));
    await t.rejects(actor.ask('open', {}, by('c-again')), { code: 'SANDBOX_WRONG_STATE' });
    await actor.ask('close', {}, by('c-close'));
    await t.rejects(actor.ask('slam', {}, by('c-slam')), { code: 'SANDBOX_WRONG_STATE' });
    await actor.stop();
    const quietly = { step: null, refused: null };
    t.same(seen, [
      { seq: 1, from: null, to: 'shut', cause: 'start', commandId: null, ...quietly },
      { seq: 2, from: 'shut', to: 'opening', cause: 'open', commandId: 'c-open', ...quietly },
      {
        ...quietly,
        seq: 3,
        from: 'opening',
        to: 'ajar',
        cause: 'step.done',
        commandId: 'c-open',
        step: 'turnKey',
      },
      { seq: 3, from: 'ajar', to: 'ajar', cause: 'open', commandId: 'c-again', step: null, refused: 'open' },
      { seq: 4, from: 'ajar', to: 'shut', cause: 'close', commandId: 'c-close', ...quietly },
      {
        seq: 4,
        from: 'shut',
        to: 'shut',
        cause: 'slam',
        commandId: 'c-slam',
        step: null,
        refused: 'bang or crash',
      },
    ]);
  },
);

t.test('the present: what led there, which an actor that was started again does not know', async (t) => {
  const options = door();
  const actor = await Actor.start(options, undefined);
  await actor.ask('open', {}, by('c-open'));
  const { transition, refused } = actor.present();
  const now = {
    seq: 3,
    from: 'opening',
    to: 'ajar',
    cause: 'step.done',
    commandId: 'c-open',
    step: 'turnKey',
  };
  t.match(transition, now);
  t.equal(transition.record, actor.record);
  t.equal(refused, null);
  await actor.stop();
  const next = await Actor.start(options, undefined);
  const after = next.present().transition;
  t.match(after, { seq: 3, from: null, to: 'ajar', cause: 'now', commandId: null, step: null, error: null });
  t.equal(after.atMs, next.record.enteredAtMs);
  t.equal(after.snapshot.value, 'ajar');
  await next.stop();
});

t.test('a step that fails is undone, and the caller gets its error', async (t) => {
  const undone: string[] = [];
  const actor = await Actor.start(
    door({
      turnKey: async () => {
        throw new DormouseError('DEVICE_BUSY', 'the lock is stuck');
      },
      turnBack: async (_, { ledger }) => void undone.push(...ledger.map((entry) => entry.kind)),
    }),
    undefined,
  );
  await t.rejects(actor.ask('open', {}, by()), { code: 'DEVICE_BUSY', detail: 'the lock is stuck' });
  t.equal(actor.state, 'shut');
  t.same(undone, ['key'], 'the undo saw what was acquired');
  t.same(actor.record.ledger, [], 'and nothing is held now');
  await actor.stop();
});

t.test('the ledger is on the disk before the step begins', async (t) => {
  const options = door();
  const file = path.join(dir, 'ledger.json');
  let seen: ActorRecord | undefined;
  const actor = await Actor.start(
    {
      ...options,
      journal: fileJournal(file),
      steps: {
        ...options.steps,
        turnKey: {
          ...options.steps.turnKey!,
          run: async () => {
            seen = await fileJournal(file).load();
          },
        },
      },
    },
    undefined,
  );
  await actor.ask('open', {}, by());
  t.equal(seen?.value, 'opening');
  t.same(
    seen?.ledger.map((entry) => entry.kind),
    ['key'],
  );
  await actor.stop();
});

t.test('a step that takes too long has failed', async (t) => {
  const actor = await Actor.start(
    door({
      timeoutMs: 20,
      turnKey: (_, { signal }) =>
        new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason))),
    }),
    undefined,
  );
  await t.rejects(actor.ask('open', {}, by()), { code: 'STEP_TIMEOUT' });
  await actor.stop();
});

t.test('when the last caller goes, forward steps are aborted and undo steps are not', async (t) => {
  const started = gate();
  const undo = gate();
  let undoAborted: boolean | undefined;
  const actor = await Actor.start(
    door({
      turnKey: (_, { signal }) =>
        new Promise((_resolve, reject) => {
          started.open();
          signal.addEventListener('abort', () => reject(signal.reason));
        }),
      turnBack: async (_, { signal }) => {
        await undo.passed;
        undoAborted = signal.aborted;
      },
    }),
    undefined,
  );
  const [first, second] = [new AbortController(), new AbortController()];
  const context = by('twice', first.signal);
  const one = actor.ask('open', {}, context);
  const two = actor.ask('open', {}, { ...context, signal: second.signal });
  one.catch(() => {});
  two.catch(() => {});
  await started.passed;
  first.abort(new DormouseError('CANCELLED', 'gone'));
  await new Promise((resolve) => setImmediate(resolve));
  t.equal(actor.state, 'opening', 'one caller still waits');
  second.abort(new DormouseError('CANCELLED', 'gone too'));
  await actor.until(() => actor.state === 'undoing', AbortSignal.timeout(20_000));
  undo.open();
  await t.rejects(one, { code: 'CANCELLED' });
  await t.rejects(two, { code: 'CANCELLED' });
  t.equal(undoAborted, false);
  await actor.stop();
});

t.test('the same command id is done once and answered alike, also after a restart', async (t) => {
  const options = door();
  const actor = await Actor.start(options, undefined);
  const answers = await Promise.all([actor.ask('open', {}, by('same')), actor.ask('open', {}, by('same'))]);
  t.same(answers[0], answers[1]);
  await actor.ask('close', {}, by());
  await actor.stop();
  const again = await Actor.start(options, undefined);
  t.same(await again.ask('open', {}, by('same')), answers[0]);
  t.equal(again.state, 'shut', 'it was not done a second time');
  await t.rejects(again.ask('open', { other: 1 }, by('same')), { code: 'IDEMPOTENCY_KEY_REUSED' });
  await again.stop();
});

t.test(
  'a command that may succeed later is done again when its id comes again, and then no more',
  async (t) => {
    let isBusy = true;
    let turns = 0;
    const actor = await Actor.start(
      door({
        turnKey: async () => {
          turns += 1;
          if (isBusy) throw new DormouseError('DEVICE_BUSY', 'The key is in use.');
        },
      }),
      undefined,
    );
    const both = [actor.ask('open', {}, by('again')), actor.ask('open', {}, by('again'))];
    for (const one of both) await t.rejects(one, { code: 'DEVICE_BUSY' });
    t.equal(turns, 1, 'who joins it gets its error');
    isBusy = false;
    const answer = await actor.ask('open', {}, by('again'));
    t.match(answer, { turns: 1 });
    t.same(await actor.ask('open', {}, by('again')), answer);
    t.equal(turns, 2);
    await actor.stop();
  },
);

t.test(
  'an actor that died in the middle of a step runs it again, and who asks again gets the answer',
  async (t) => {
    const options = door({
      turnKey: (_, { signal }) =>
        new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason))),
    });
    const dead = await Actor.start(options, undefined);
    dead.ask('open', {}, by('mid')).catch(() => {});
    await dead.until(() => dead.state === 'opening', AbortSignal.timeout(20_000));
    let runs = 0;
    const go = gate();
    const steps = {
      ...options.steps,
      turnKey: {
        ...options.steps.turnKey!,
        run: async () => {
          runs += 1;
          await go.passed;
        },
      },
    };
    const heir = await Actor.start({ ...options, steps }, undefined);
    t.equal(heir.state, 'opening');
    const answer = heir.ask('open', {}, by('mid'));
    go.open();
    t.same(await answer, { turns: 1, seq: 3 });
    t.equal(runs, 1);
    await heir.stop();
    await dead.stop();
  },
);

t.test('a deadline that has passed: the command is not begun', async (t) => {
  const actor = await Actor.start(door(), undefined);
  await t.rejects(actor.ask('open', {}, { ...by(), deadlineMs: Date.now() - 1 }), {
    code: 'DEADLINE_EXCEEDED',
  });
  t.equal(actor.record.seq, 1);
  await actor.stop();
});

t.test('one command at a time: the second finds the state that the first leads to', async (t) => {
  const options = door({
    turnKey: (_, { signal }) =>
      new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason))),
  });
  const { journal } = options;
  const slow = {
    load: journal.load,
    save: async (record: ActorRecord, durable: boolean) => {
      await new Promise((resolve) => setImmediate(resolve));
      await journal.save(record, durable);
    },
  };
  const actor = await Actor.start({ ...options, journal: slow }, undefined);
  const first = actor.ask('open', {}, by());
  first.catch(() => {});
  await t.rejects(actor.ask('open', { again: true }, by()), {
    code: 'SANDBOX_WRONG_STATE',
    data: { state: 'opening' },
  });
  t.equal(actor.record.seq, 2, 'one transition');
  await actor.stop();
  await t.rejects(first, { code: 'HOST_DRAINING' });
});

t.test('a full mailbox refuses', async (t) => {
  const actor = await Actor.start(door({ mailboxSize: 2 }), undefined);
  const results = await Promise.allSettled([1, 2, 3, 4, 5].map(() => actor.ask('close', {}, by())));
  // One is being handled, two wait.
  const codes = results.map((result) => (result.status === 'rejected' ? result.reason.code : ''));
  t.equal(codes.filter((code) => code === 'MAILBOX_FULL').length, 2);
  t.equal(codes.filter((code) => code === 'SANDBOX_WRONG_STATE').length, 3);
  await actor.stop();
});

t.test('an after-timer is kept as an absolute time and fires in the next life', async (t) => {
  const options = door();
  const actor = await Actor.start(options, undefined);
  await actor.ask('open', {}, by());
  await actor.tell({ type: 'slam' });
  t.equal(actor.state, 'waiting');
  await actor.stop();
  const heir = await Actor.start(options, undefined);
  t.equal(heir.state, 'waiting');
  await heir.until(() => heir.state === 'shut', AbortSignal.timeout(20_000));
  t.same(heir.record.timers, {});
  await heir.stop();
});

t.test('a journal that cannot be written: the command is refused and nothing has happened', async (t) => {
  const options = door();
  const good = options.journal;
  let broken = false;
  const journal = {
    load: good.load,
    save: async (record: ActorRecord, durable: boolean) =>
      broken ? Promise.reject(new DormouseError('DISK_FULL', 'full')) : good.save(record, durable),
  };
  const actor = await Actor.start({ ...options, journal }, undefined);
  broken = true;
  await t.rejects(actor.ask('open', {}, by()), { code: 'DISK_FULL' });
  t.equal(actor.state, 'shut');
  broken = false;
  t.same(await actor.ask('open', {}, by()), { turns: 1, seq: 3 });
  await actor.stop();
});

t.test(
  'a journal that breaks in the middle does not stop the way back; it is written when it can be',
  async (t) => {
    const options = door();
    const good = options.journal;
    let broken = false;
    const journal = {
      load: good.load,
      save: async (record: ActorRecord, durable: boolean) =>
        broken ? Promise.reject(new DormouseError('DISK_FULL', 'full')) : good.save(record, durable),
    };
    const steps = {
      ...options.steps,
      turnKey: {
        ...options.steps.turnKey!,
        run: async () => {
          broken = true;
          throw new DormouseError('DISK_FULL', 'full');
        },
      },
    };
    const actor = await Actor.start({ ...options, journal, steps }, undefined);
    await t.rejects(actor.ask('open', {}, by()), { code: 'DISK_FULL' });
    t.equal(actor.state, 'shut');
    t.equal((await good.load())?.value, 'opening', 'the disk has the older record');
    broken = false;
    while ((await good.load())?.value !== 'shut') await new Promise((resolve) => setTimeout(resolve, 20));
    t.pass('and the newer one when it can be written');
    await actor.stop();
  },
);

t.test('events go to the stream in order, and wait in the journal while it is away', async (t) => {
  const stored: number[] = [];
  let away = true;
  const sink = {
    append: async (event: { seq: number }) => {
      if (away) throw new DormouseError('BUS_UNAVAILABLE', 'away');
      stored.push(event.seq);
    },
  };
  const options = door({ sink, event: (transition) => ({ seq: transition.seq }) });
  const actor = await Actor.start(options, undefined);
  await actor.ask('open', {}, by());
  t.same(stored, []);
  t.equal((await options.journal.load())?.outbox.length, 3);
  await actor.stop();
  away = false;
  const heir = await Actor.start(options, undefined);
  await heir.published(AbortSignal.timeout(20_000));
  t.same(stored, [1, 2, 3]);
  await heir.stop();
});

t.test(
  'a journal of another version, or one that is damaged, is an error and not an empty actor',
  async (t) => {
    const file = path.join(dir, 'damaged.json');
    await writeFile(file, '{"v":2}');
    await t.rejects(Actor.start(door({ journal: fileJournal(file) }), undefined), { code: 'INTERNAL' });
    await writeFile(file, '{"v":1,');
    await t.rejects(Actor.start(door({ journal: fileJournal(file) }), undefined), SyntaxError);
  },
);

t.test(
  'the journal files are readable by their owner only, and at rest the record outlives a power cut',
  async (t) => {
    const file = path.join(dir, 'mode.json');
    const actor = await Actor.start(door({ journal: fileJournal(file) }), undefined);
    await actor.stop();
    for (const each of [file, path.join(dir, 'mode.next.json')])
      t.equal((await stat(each)).mode & 0o777, 0o600);
    t.equal(JSON.parse(await readFile(file, 'utf8')).value, 'shut');
  },
);

t.test("an actor that has stopped takes nothing: the journal is its successor's", async (t) => {
  const options = door();
  const old = await Actor.start(options, undefined);
  await old.ask('open', {}, by());
  await old.stop();
  const heir = await Actor.start(options, undefined);
  await heir.ask('close', {}, by());
  const { seq } = heir.record;
  await heir.stop();
  t.equal(await old.tell({ type: 'slam' }), false);
  await t.rejects(old.ask('slam', {}, by()), { code: 'HOST_DRAINING' });
  t.match(await options.journal.load(), { seq, value: 'shut' });
});

t.test('what an actor had begun is written before it has stopped, and what waits is not taken', async (t) => {
  const options = door();
  const good = options.journal;
  const held = gate();
  const writing = gate();
  const journal: Journal = {
    load: good.load,
    async save(record, durable) {
      if (record.value === 'waiting') {
        writing.open();
        await held.passed;
      }
      await good.save(record, durable);
    },
  };
  const actor = await Actor.start({ ...options, journal }, undefined);
  await actor.ask('open', {}, by());
  const slammed = actor.tell({ type: 'slam' });
  await writing.passed;
  const stopped = actor.stop();
  const late = actor.tell({ type: 'nothing' });
  held.open();
  await stopped;
  t.same([await slammed, await late], [true, false]);
  t.equal((await good.load())?.value, 'waiting');
});

t.test('who asks a stopped actor for what it was in the middle of is not left waiting', async (t) => {
  const actor = await Actor.start(
    door({
      turnKey: (_, { signal }) =>
        new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason))),
    }),
    undefined,
  );
  const first = actor.ask('open', {}, by('mid'));
  first.catch(() => {});
  await actor.until(() => actor.state === 'opening', AbortSignal.timeout(20_000));
  await actor.stop();
  await t.rejects(first, { code: 'HOST_DRAINING' });
  await t.rejects(actor.ask('open', {}, by('mid')), { code: 'HOST_DRAINING' });
  await t.rejects(Promise.resolve(actor.outcome(by('mid'))), { code: 'HOST_DRAINING' });
});

/** A door whose code fails at the first transition that has this cause. */
async function failingDoor(cause: string) {
  const faults: unknown[] = [];
  let fails = true;
  const actor = await Actor.start(
    door({
      faulted: (error) => void faults.push(error),
      transitioned: (transition) => {
        if (transition.cause !== cause || !fails) return;
        fails = false;
        throw new TypeError('a mistake');
      },
    }),
    undefined,
  );
  return { actor, faults };
}

t.test('code that fails is a case for the supervisor, once, whatever it failed at', async (t) => {
  const commanded = await failingDoor('open');
  await t.rejects(commanded.actor.ask('open', {}, by()), { code: 'INTERNAL', detail: /started again/ });
  t.match(commanded.faults, [{ message: 'a mistake' }]);
  await commanded.actor.stop();

  const told = await failingDoor('slam');
  await told.actor.ask('open', {}, by());
  await t.rejects(told.actor.tell({ type: 'slam' }), { message: 'a mistake' });
  t.match(told.faults, [{ message: 'a mistake' }]);
  await told.actor.stop();

  const stepped = await failingDoor('step.done');
  await t.rejects(stepped.actor.ask('open', {}, by()), { code: 'INTERNAL' });
  t.match(stepped.faults, [{ message: 'a mistake' }]);
  await stepped.actor.stop();

  const timed = await failingDoor('timeout');
  await timed.actor.ask('open', {}, by());
  await timed.actor.tell({ type: 'slam' });
  while (timed.faults.length === 0) await delay(5);
  t.match(timed.faults, [{ message: 'a mistake' }]);
  await timed.actor.stop();
});

t.test('a journal that cannot be written is none', async (t) => {
  const faults: unknown[] = [];
  const options = door({ faulted: (error) => void faults.push(error) });
  const good = options.journal;
  let broken = false;
  const save: Journal['save'] = async (record, durable) => {
    if (broken) throw new DormouseError('DISK_FULL', 'full');
    await good.save(record, durable);
  };
  const actor = await Actor.start({ ...options, journal: { load: good.load, save } }, undefined);
  broken = true;
  await t.rejects(actor.ask('open', {}, by()), { code: 'DISK_FULL' });
  t.same(faults, []);
  await actor.stop();
});
