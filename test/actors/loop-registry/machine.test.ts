import t from 'tap';
import type { AnyMachineSnapshot } from 'xstate';
import { loopRegistryMachine, type RegistryContext } from '../../../src/actors/loop-registry/machine.ts';
import { entryOf, type Look } from '../../../src/actors/loop-registry/registry.ts';
import {
  activeSteps,
  begin,
  decide,
  type Effect,
  stateName,
  stepDone,
  stepFailed,
} from '../../../src/actors/system/decide.ts';
import type { ErrorCode } from '../../../src/errors/index.ts';

const image = '/images/a.img';
const nothing: Look = { devices: [], users: {} };
const bound: Look = {
  devices: [
    {
      device: '/dev/loop0',
      backingFile: image,
      fileId: '1:2',
      readOnly: true,
      autoclear: false,
      deleted: false,
    },
  ],
  users: {},
};
const attached = { look: bound, device: '/dev/loop0' };
const body = (holder: string) => ({ body: { image, holder } });

/** Walks the machine without a runtime: steps end as the test says. */
class Walk {
  snapshot: AnyMachineSnapshot;
  effects: Effect[];
  constructor() {
    ({ snapshot: this.snapshot, effects: this.effects } = begin(loopRegistryMachine, undefined));
  }
  get state(): string {
    return stateName(this.snapshot.value);
  }
  get context(): RegistryContext {
    return this.snapshot.context as RegistryContext;
  }
  /** The answers of the last transition: the code of an error, or `ok`. */
  get answers(): string[] {
    return this.effects.flatMap((effect) => {
      if (effect.kind !== 'act' || effect.type !== 'answer' || !effect.params.commandId) return [];
      return [(effect.params.error as { code: string } | null)?.code ?? 'ok'];
    });
  }
  #take(event: { type: string }): this {
    ({ snapshot: this.snapshot, effects: this.effects } = decide(loopRegistryMachine, this.snapshot, event));
    return this;
  }
  command(type: string, rest: object = {}): this {
    return this.#take({ type, command: { id: 'c', name: type, deadlineMs: 1 }, ...rest } as { type: string });
  }
  done(output: unknown): this {
    return this.#take(stepDone(this.#step(), output));
  }
  fail(code: ErrorCode): this {
    return this.#take(stepFailed(this.#step(), { code, detail: 'it failed' }));
  }
  retry(): this {
    return this.#take({ type: 'xstate.after.retry.loopRegistry.ready' });
  }
  #step(): string {
    const [step] = activeSteps(this.snapshot);
    if (!step) throw new Error(`${this.state} runs no step`);
    return step.invokeId;
  }
}

const ready = (look = nothing): Walk => new Walk().done(look).done(look);
const holding = (): Walk => ready().command('acquire', body('one')).done(attached);
const holders = (walk: Walk): unknown => walk.context.loops.map((loop) => loop.holders);

t.test('it takes commands after it was rebuilt and tidied', async (t) => {
  const walk = new Walk();
  t.equal(walk.state, 'rebuilding');
  t.notOk(walk.snapshot.can({ type: 'acquire' } as never));
  t.equal(walk.done(nothing).state, 'tidying');
  t.notOk(walk.snapshot.can({ type: 'release' } as never));
  t.equal(walk.done(nothing).state, 'ready');
  for (const type of ['acquire', 'release', 'leaks']) t.ok(walk.snapshot.can({ type } as never), type);
});

t.test('rebuilding fails: the registry cannot work', async (t) => {
  const walk = new Walk().fail('LOOP_FAILED');
  t.equal(walk.state, 'failed');
  t.equal(walk.snapshot.status, 'done');
  t.match(walk.context.error, { code: 'LOOP_FAILED' });
});

t.test('tidying fails: the registry works, and tries again', async (t) => {
  const walk = new Walk().done(bound).fail('LOOP_FAILED');
  t.equal(walk.state, 'ready');
  t.equal(walk.retry().state, 'tidying');
  t.equal(walk.done(nothing).state, 'ready');
  t.equal(walk.retry().state, 'ready', 'and rests when nothing leaks');
});

t.test('attaching fails: undone, no holder, the caller gets the error of attaching', async (t) => {
  for (const undo of ['done', 'fail'] as const) {
    const walk = ready().command('acquire', body('one')).fail('LOOP_FAILED');
    t.equal(walk.state, 'undoing');
    t.same(walk.answers, [], 'no answer before it is undone');
    if (undo === 'done') walk.done(nothing);
    else walk.fail('DEVICE_BUSY');
    t.equal(walk.state, 'ready');
    t.same(walk.answers, ['LOOP_FAILED']);
    t.same(holders(walk), []);
  }
});

t.test('a release', async (t) => {
  const walk = holding();
  t.same([walk.answers, holders(walk)], [['ok'], [['one']]]);
  t.equal(walk.command('release', body('two')).state, 'ready');
  t.same([walk.answers, holders(walk)], [['LOOP_NOT_HELD'], [['one']]], 'a stranger changes nothing');
  t.equal(walk.command('release', body('one')).state, 'releasing');
  t.same(holders(walk), [['one']], 'the holder stays until it is known that it may go');
  walk.done(nothing);
  t.same([walk.state, walk.answers, walk.context.loops], ['ready', ['ok'], []]);
  t.same(walk.context.reply, { detached: true, holders: [] });
});

t.test('releasing fails: the loop is kept without a holder, and tried again', async (t) => {
  const walk = holding().command('release', body('one')).fail('STEP_TIMEOUT');
  t.same([walk.state, walk.answers, holders(walk)], ['ready', ['STEP_TIMEOUT'], [[]]]);
  t.equal(walk.retry().state, 'tidying');
  t.same(walk.done(nothing).context.loops, []);
});

t.test('releasing fails while others hold the loop: the one that left is not listed', async (t) => {
  // Found by the simulation: "forks", step 28 fails. Nothing looks at a loop again that is held.
  const both: Look = { ...bound, users: { '/dev/loop0': ['one', 'two'] } };
  const walk = holding().command('acquire', body('two')).done({ look: both, device: '/dev/loop0' });
  walk.command('release', body('one')).fail('LOOP_FAILED');
  t.same([walk.state, walk.answers], ['ready', ['LOOP_FAILED']]);
  t.same(
    walk.context.loops.map(entryOf).flatMap((entry) => entry.holders),
    ['two'],
  );
});

t.test('the loop stays after its release: listed, answered so, tried again', async (t) => {
  const walk = holding().command('release', body('one')).done(bound);
  t.same([walk.state, walk.answers, holders(walk)], ['ready', ['ok'], [[]]]);
  t.same(walk.context.reply, { detached: false, holders: [] });
  t.equal(walk.retry().state, 'tidying');
});

t.test('the holder still stands on the loop: it keeps it', async (t) => {
  const walk = holding().command('release', body('one')).fail('DEVICE_BUSY');
  t.same([walk.state, walk.answers, holders(walk)], ['ready', ['DEVICE_BUSY'], [['one']]]);
  t.equal(walk.retry().state, 'ready');
});

t.test('looking: what vanished is forgotten; a failure changes nothing', async (t) => {
  const walk = holding().command('leaks').fail('LOOP_FAILED');
  t.same([walk.state, walk.answers, holders(walk)], ['ready', ['LOOP_FAILED'], [['one']]]);
  t.equal(walk.command('leaks').state, 'looking');
  walk.done(nothing);
  t.same([walk.answers, walk.context.loops, walk.context.reply], [['ok'], [], { leaks: [] }]);
});

t.test('no command is left over for the next one', async (t) => {
  const walk = ready().command('acquire', body('one')).fail('LOOP_FAILED').done(nothing);
  t.match(walk.context, { command: null, error: null, image: '', holder: '' });
});
