import fc from 'fast-check';
import t, { type Test } from 'tap';
import type { AnyMachineSnapshot } from 'xstate';
import type { SandboxContext } from '../../../src/actors/sandbox/context.ts';
import { sandboxMachine } from '../../../src/actors/sandbox/machine.ts';
import { SANDBOX_STATES } from '../../../src/actors/sandbox/protocol.ts';
import {
  activeSteps,
  begin,
  decide,
  type Effect,
  restore,
  stateName,
  stepDone,
  stepFailed,
} from '../../../src/actors/system/decide.ts';
import { SLOT, sandboxInput, VM } from './support.ts';

/**
 * Random walks over the machine: whatever happens to a sandbox, in whatever order. After each event the state is also
 * turned into JSON and restored, as after a crash, and both must go on alike.
 */

type Move =
  | { kind: 'done'; output: unknown }
  | { kind: 'failed'; code: string }
  | { kind: 'command'; name: keyof typeof BODIES }
  | { kind: 'own'; type: 'exec' | 'expired' | 'spaceLow' | 'diskLost' }
  | { kind: 'timer' };

/** The commands, and what they come with. */
const BODIES = {
  pause: {},
  resume: {},
  capture: { dir: '/host/captures/k-1', memory: true },
  restart: {},
  resize: { disk_size_mb: 2048 },
  destroy: {},
  ping: {},
};

const move: fc.Arbitrary<Move> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant('done' as const),
      output: fc.constantFrom<unknown>(
        {},
        undefined,
        { slot: SLOT },
        { vm: VM },
        { vm: null },
        { diskPath: '/d' },
      ),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant('failed' as const),
      code: fc.constantFrom(
        'STEP_FAILED',
        'STEP_TIMEOUT',
        'VMM_GONE',
        'SNAPSHOT_INVALID',
        'DEVICE_BUSY',
        'DISK_LOST',
      ),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant('command' as const),
      name: fc.constantFrom(...(Object.keys(BODIES) as Array<keyof typeof BODIES>)),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('own' as const),
      type: fc.constantFrom('exec', 'expired', 'spaceLow', 'diskLost'),
    }),
  },
  { weight: 1, arbitrary: fc.constant({ kind: 'timer' as const }) },
);
const options = fc.record({
  timeout_s: fc.constantFrom(0, 60),
  on_timeout: fc.constantFrom('pause' as const, 'destroy' as const),
});

/** The event of a move, in a state with these steps and armed timers; undefined when there is none. */
function eventOf(
  at: Move,
  number: number,
  snapshot: AnyMachineSnapshot,
  timers: ReadonlyMap<string, { type: string }>,
): { type: string } | undefined {
  const step = activeSteps(snapshot).at(-1);
  const atMs = number * 1000;
  switch (at.kind) {
    case 'done':
      if (step?.step === 'watchVm') return stepDone(step.invokeId, { reason: 'exited', detail: 'x' });
      return step && stepDone(step.invokeId, at.output);
    case 'failed':
      return step && stepFailed(step.invokeId, { code: at.code, detail: `failure ${number}` });
    case 'command': {
      const command = { id: `c-${number}`, name: at.name, deadlineMs: atMs + 1 };
      const event = { type: at.name, command, body: BODIES[at.name], atMs };
      return snapshot.can(event as never) ? event : undefined;
    }
    case 'own': {
      const event = {
        type: at.type,
        atMs,
        ...(at.type === 'diskLost' && { error: { code: 'DISK_LOST', detail: `failure ${number}` } }),
      };
      return snapshot.can(event as never) ? event : undefined;
    }
    case 'timer':
      return [...timers.values()][0];
  }
}

interface Place {
  before: AnyMachineSnapshot;
  event: { type: string };
  after: AnyMachineSnapshot;
  effects: Effect[];
}

/** Carries the moves out and shows each place to `visit`; false ends the walk and fails it. */
function walk(
  moves: readonly Move[],
  wish: Partial<SandboxContext['options']>,
  visit: (place: Place) => boolean,
): boolean {
  let { snapshot, effects } = begin(sandboxMachine, sandboxInput({}, wish));
  const timers = new Map<string, { type: string }>();
  for (const [index, at] of moves.entries()) {
    const event = eventOf(at, index + 1, snapshot, timers);
    // As the actor does: what a state does not take is not given to it.
    if (!event || !snapshot.can(event as never)) continue;
    const before = snapshot;
    ({ snapshot, effects } = decide(sandboxMachine, before, { atMs: (index + 1) * 1000, ...event } as never));
    for (const effect of effects) {
      if (effect.kind === 'disarm') timers.delete(effect.timer);
      if (effect.kind === 'arm') timers.set(effect.timer, effect.event);
    }
    if (!visit({ before, event, after: snapshot, effects })) return false;
  }
  return true;
}

const json = (value: unknown): string => JSON.stringify(value);
const dones = (count: number): Move[] => Array<Move>(count).fill({ kind: 'done', output: {} });
/** Where walks begin: at the start, and where a walk at random comes too seldom. */
const beginning = fc.constantFrom<Move[]>([], dones(4), [
  ...dones(4),
  { kind: 'command', name: 'pause' },
  ...dones(7),
]);
const walks = fc.tuple(
  fc
    .tuple(beginning, fc.array(move, { minLength: 1, maxLength: 50 }))
    .map(([first, then]) => [...first, ...then]),
  options,
);
const check = (t: Test, visit: (place: Place) => boolean): void => {
  const result = fc.check(
    fc.property(walks, ([moves, wish]) => walk(moves, wish, visit)),
    { numRuns: 400 },
  );
  t.notOk(result.failed, `seed ${result.seed}, counterexample ${json(result.counterexample)}`);
};

t.test('property: a state that was turned into JSON and restored goes on alike', async (t) => {
  const seen = new Set<string>();
  check(t, ({ before, event, after, effects }) => {
    seen.add(stateName(after.value));
    const restored = restore(
      sandboxMachine,
      JSON.parse(json(before.value)),
      JSON.parse(json(before.context)),
    );
    const again = decide(sandboxMachine, restored, { atMs: 1000, ...event } as never);
    const first = decide(sandboxMachine, before, { atMs: 1000, ...event } as never);
    return (
      json(activeSteps(restored)) === json(activeSteps(before)) &&
      json(again.snapshot.value) === json(first.snapshot.value) &&
      json(again.snapshot.context) === json(first.snapshot.context) &&
      json(again.effects) === json(first.effects) &&
      again.snapshot.status === first.snapshot.status &&
      json(effects.map(({ kind }) => kind)) === json(first.effects.map(({ kind }) => kind))
    );
  });
  for (const state of SANDBOX_STATES)
    t.ok(
      [...seen].some((name) => name.split('.')[0] === state) || state === 'creating',
      `the walks came through ${state}`,
    );
});

t.test('property: the context is plain data, and the journal loses nothing of it', async (t) => {
  check(t, ({ after }) => {
    const context = JSON.parse(json(after.context));
    return (
      json(context) === json(after.context) &&
      Object.keys(context).length === Object.keys(after.context).length
    );
  });
});

t.test('property: a command is answered once, and a state at rest has none open', async (t) => {
  let answered = new Set<string>();
  check(t, ({ before, after, effects }) => {
    const first = (before.context as SandboxContext).command?.id === 'create';
    if (first && stateName(before.value) === 'creating.disk') answered = new Set();
    for (const effect of effects) {
      if (effect.kind !== 'act' || effect.type !== 'answer' || effect.params.commandId === null) continue;
      const id = String(effect.params.commandId);
      if (answered.has(id)) return false;
      answered.add(id);
    }
    const { command } = after.context as SandboxContext;
    return !(after.hasTag('rest') || after.status === 'done') || command === null;
  });
});

t.test('property: a state has one step or rests, and leaving it stops its step', async (t) => {
  check(t, ({ before, after, effects }) => {
    const left = stateName(before.value) !== stateName(after.value);
    const stops = effects.flatMap((effect) => (effect.kind === 'stop' ? [effect.invokeId] : []));
    const starts = effects.flatMap((effect) => (effect.kind === 'start' ? [effect.invokeId] : []));
    const steps = activeSteps(after).map(({ invokeId }) => invokeId);
    return (
      steps.length <= 1 &&
      (steps.length === 1 || after.hasTag('rest') || after.status === 'done') &&
      (!left ||
        (json(starts) === json(steps) &&
          json(stops) === json(activeSteps(before).map((one) => one.invokeId))))
    );
  });
});

t.test(
  'property: from anywhere, when every step works, the sandbox comes to rest and can be destroyed',
  async (t) => {
    check(t, ({ after }) => {
      let snapshot = after;
      for (let tries = 0; tries < 20; tries += 1) {
        if (snapshot.status === 'done') return ['failed', 'destroyed'].includes(stateName(snapshot.value));
        const destroy = {
          type: 'destroy',
          command: { id: 'end', name: 'destroy', deadlineMs: 1 },
          body: {},
          atMs: 1,
        };
        const step = activeSteps(snapshot).at(-1);
        const event = snapshot.can(destroy as never) ? destroy : step && stepDone(step.invokeId, {});
        if (!event) return false;
        snapshot = decide(sandboxMachine, snapshot, event).snapshot;
      }
      return false;
    });
  },
);
