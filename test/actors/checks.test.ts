import t from 'tap';
import { type AnyStateMachine, assign, createMachine, StateMachine } from 'xstate';
import {
  commandsAreAnswered,
  everythingIsReached,
  nothingStaysForEver,
  problemsOf,
  restIsReached,
  statesAreInThePage,
  stepsLeadOn,
} from './checks.ts';
import { type Exploration, explore, type Subject } from './explore.ts';
import { hostSubject, loopRegistrySubject, sandboxSubject } from './subjects.ts';

t.setTimeout(300_000);

/**
 * Each check finds what it looks for: a machine from which one thing was taken makes it fail, with the state's name. First a
 * lamp, which is the smallest machine that has all there is; then the real machines, from which every end of a step is taken
 * in turn.
 */

// biome-ignore lint/suspicious/noExplicitAny: a configuration is taken apart here, whatever is in it
type Config = any;

const answer = {
  type: 'answer',
  params: ({ context }: Config) => ({ commandId: context.command?.id ?? null, error: context.failure }),
};
const lamp = (): Config => ({
  id: 'lamp',
  context: { command: null, failure: null, tries: 0 },
  initial: 'dark',
  states: {
    dark: {
      entry: [answer, 'rest'],
      on: {
        light: { target: 'lighting', actions: 'begin' },
        smash: { target: 'smashing', actions: 'begin' },
      },
    },
    lighting: {
      invoke: {
        id: 'heat',
        src: 'heat',
        onDone: 'bright',
        onError: { target: 'cooling', actions: 'fail' },
      },
    },
    cooling: { invoke: { id: 'cool', src: 'cool', onDone: 'dark', onError: 'stuck' } },
    stuck: {
      entry: [answer, 'rest'],
      on: { smash: { target: 'smashing', actions: 'begin' } },
      after: { 1000: { target: 'cooling', actions: 'tryAgain' } },
    },
    bright: {
      entry: [answer, 'rest'],
      invoke: { id: 'glow', src: 'glow', onDone: 'cooling', onError: 'cooling' },
      on: { flicker: 'cooling', smash: { target: 'smashing', actions: 'begin' } },
    },
    smashing: { invoke: { id: 'hit', src: 'hit', onDone: 'gone', onError: 'gone' } },
    gone: { type: 'final', entry: answer },
  },
});
const lampActions = {
  answer: () => {},
  begin: assign({ command: ({ event }: Config) => event.command, failure: null }),
  fail: assign({ failure: ({ event }: Config) => event.error }),
  rest: assign({ command: null, failure: null }),
  tryAgain: assign({ tries: ({ context }: Config) => context.tries + 1 }),
};
const lampSubject = {
  name: 'lamp',
  inputs: [undefined],
  steps: {
    heat: { timeoutMs: 1000 },
    cool: { timeoutMs: 1000 },
    hit: { timeoutMs: 1000 },
    glow: { timeoutMs: Number.POSITIVE_INFINITY },
  },
  commands: { light: [{}], smash: [{}] },
  whenBusy: 'refuse',
  events: [{ type: 'flicker' }],
  outputs: () => [{}],
  codes: ['STEP_FAILED', 'STEP_TIMEOUT'],
  key: ({ command, failure }: Config) => [command?.id, failure !== null],
  rest: ['dark', 'bright'],
  waiting: ['stuck'],
  watches: ['glow'],
  background: [],
  always: ['smash'],
  goals: { light: 'bright', smash: 'gone' },
} as const satisfies Omit<Subject, 'machine'>;

/** A lamp that was changed: its configuration by `edit`, what is known of it by `changes`. */
function lampWith(edit: (states: Config) => void, changes: Partial<Subject> = {}): Exploration {
  const config = lamp();
  edit(config.states);
  const machine = createMachine(config, { actions: lampActions } as Config) as AnyStateMachine;
  return explore({ ...lampSubject, machine, ...changes });
}

t.test('nothing is wrong with the lamp', async (t) => {
  t.same(problemsOf(lampWith(() => {})), []);
});

t.test('1: a step without an exit, and one that leads nowhere', async (t) => {
  t.same(stepsLeadOn(lampWith((states) => delete states.lighting.invoke.onError)), [
    'lamp: lighting has no exit when heat fails',
    'lamp: lighting has no exit when heat takes too long',
  ]);
  t.same(stepsLeadOn(lampWith((states) => delete states.lighting.invoke.onDone)), [
    'lamp: lighting has no exit when heat is done',
  ]);
  const timeless = { guard: ({ event }: Config) => event.error.code !== 'STEP_TIMEOUT', target: 'gone' };
  t.same(
    stepsLeadOn(lampWith((states) => Object.assign(states.smashing.invoke, { onError: timeless }))),
    ['lamp: smashing has no exit when hit takes too long'],
    'a failure that is known does not stand for the limit',
  );
  t.same(
    stepsLeadOn(
      lampWith((states) =>
        Object.assign(states.smashing.invoke, { onError: { target: 'smashing', reenter: true } }),
      ),
    ),
    ['lamp: smashing stays when hit fails', 'lamp: smashing stays when hit takes too long'],
    'to begin anew at once is no exit',
  );
});

t.test('2: a state that stays for ever, and a step without a limit', async (t) => {
  t.match(nothingStaysForEver(lampWith((states) => delete states.stuck.after)), [
    /^lamp: stuck stays for ever \(start, light, heat fails \(STEP_FAILED\), cool fails/,
  ]);
  t.match(nothingStaysForEver(lampWith((states) => delete states.cooling.invoke)), [
    /^lamp: cooling stays for ever/,
  ]);
  const steps = { ...lampSubject.steps, cool: { timeoutMs: Number.POSITIVE_INFINITY } };
  t.same(nothingStaysForEver(lampWith(() => {}, { steps })), ['lamp: cool in cooling has no time limit']);
  t.same(nothingStaysForEver(lampWith((states) => Object.assign(states.cooling.invoke, { src: 'blow' }))), [
    'lamp: cooling runs blow, which is no step',
  ]);
  t.ok(
    nothingStaysForEver(lampWith((states) => Object.assign(states.cooling.invoke, { src: 'glow' }))).includes(
      'lamp: cooling waits for the watch glow',
    ),
  );
});

t.test(
  '3: a command that is dropped, answered twice, answered wrongly, or that waits for ever',
  async (t) => {
    t.match(commandsAreAnswered(lampWith((states) => states.bright.entry.shift())), [
      /^lamp: bright does not answer light-1 \(start, light, heat done\)/,
    ]);
    t.match(
      commandsAreAnswered(lampWith((states) => delete states.gone.entry)),
      [/^lamp: gone does not answer smash-1/],
      'an end is no excuse',
    );
    t.match(
      commandsAreAnswered(lampWith((states) => Object.assign(states.lighting, { entry: answer }))).join('\n'),
      /^lamp: bright answers light-1, which nobody waits for/m,
    );
    t.match(
      commandsAreAnswered(lampWith((states) => Object.assign(states.lighting.invoke, { onDone: 'dark' }))),
      [/^lamp: dark answers light-1 as done/],
    );
    t.match(
      commandsAreAnswered(
        lampWith((states) => Object.assign(states.lighting.invoke, { onError: 'cooling' })),
      ).join('\n'),
      /^lamp: dark answers light-1 as done/m,
      'an error that was forgotten',
    );
    t.same(
      commandsAreAnswered(
        lampWith((states) => Object.assign(states.cooling.invoke, { onError: 'lighting' }), { goals: {} }),
      ),
      ['lighting', 'cooling'].map(
        (state) => `lamp: ${state} may be come to again and again while a command waits`,
      ),
    );
    const guarded = { guard: ({ event }: Config) => 'body' in event, target: 'lighting', actions: 'begin' };
    t.same(commandsAreAnswered(lampWith((states) => Object.assign(states.dark.on, { light: guarded }))), [
      'lamp: dark says of light the contrary of what it does',
    ]);
    t.same(
      commandsAreAnswered(lampWith(() => {}, { whenBusy: 'wait' })),
      ['lamp: bright never takes light, which waits for it'],
      'who waits for a turn is not refused',
    );
  },
);

t.test('4: a rest that is not come to, and one that cannot be left', async (t) => {
  const again = (states: Config): void => {
    states.cooling.invoke.onDone = 'airing';
    states.airing = { invoke: { id: 'air', src: 'cool', onDone: 'cooling', onError: 'dark' } };
  };
  t.same(
    restIsReached(lampWith(again)),
    ['cooling', 'airing', 'stuck'].map(
      (state) => `lamp: ${state} never comes to rest, though every step is done`,
    ),
  );
  t.same(restIsReached(lampWith((states) => delete states.cooling.invoke.onDone)), [
    'lamp: cooling does not go on, though its step is done',
  ]);
  for (const state of ['dark', 'bright', 'stuck'])
    t.same(restIsReached(lampWith((states) => delete states[state].on.smash)), [
      `lamp: ${state} does not take smash`,
    ]);
});

t.test('5: a state and a transition that nothing leads to, and an event that is taken nowhere', async (t) => {
  t.same(
    everythingIsReached(lampWith((states) => Object.assign(states, { torn: { on: { light: 'dark' } } }))),
    ['lamp: nothing leads to torn', 'lamp: never made: torn on light'],
  );
  const both = [{ target: 'cooling' }, { target: 'gone' }];
  t.same(everythingIsReached(lampWith((states) => Object.assign(states.bright.on, { flicker: both }))), [
    'lamp: never made: bright on flicker else',
  ]);
  t.same(everythingIsReached(lampWith((states) => delete states.bright.on.flicker)), [
    'lamp: no state takes flicker',
  ]);
});

t.test('6: a state that the page does not name', async (t) => {
  const rows = Object.keys(lamp().states).map((state) => `| \`${state}\` | |`);
  const whole = lampWith(() => {});
  t.same(statesAreInThePage(whole, rows.join('\n')), []);
  t.same(statesAreInThePage(whole, rows.slice(1).join('\n')), ['lamp: dark is not in the page']);
  t.same(statesAreInThePage(whole, rows.slice(1).join('\n').concat('\n| `bright` | `dark` |')), [
    'lamp: dark is not in the page',
  ]);
});

t.test('a key that leaves out what a guard reads is found', async (t) => {
  const once = [
    { guard: ({ context }: Config) => context.tries < 2, target: 'cooling', actions: 'tryAgain' },
  ];
  const problems = commandsAreAnswered(
    lampWith((states) => Object.assign(states.stuck.after, { 1000: once })),
  );
  t.match(problems, [/^lamp: the key of stuck is not enough: timer .* leads to stuck or elsewhere$/]);
});

/** A real machine whose configuration was changed, tried with few errors: what is missing shows with any. */
function broken(subject: Subject, edit: (config: Config) => void): string[] {
  const config = copy(subject.machine.config) as Config;
  edit(config);
  const machine = new StateMachine(config, subject.machine.implementations as Config) as AnyStateMachine;
  const codes = ['STEP_FAILED', 'STEP_TIMEOUT', 'DISK_LOST', 'DEVICE_BUSY'];
  return problemsOf(explore({ ...subject, machine, codes, inputs: subject.inputs.slice(-1) })).filter(
    // With one input and few errors not all guards are met; that is not what is looked for.
    (line) => !line.includes('never made'),
  );
}

/** A copy of a configuration that can be changed; what it calls stays. */
function copy(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(copy);
  if (value === null || typeof value !== 'object') return value;
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, copy(inner)]));
}

/** The states of a configuration, with their names. */
function statesIn(config: Config, outer = ''): Array<{ name: string; at: string[]; state: Config }> {
  return Object.entries<Config>(config.states ?? {}).flatMap(([key, state]) => {
    const name = `${outer}${key}`;
    return [{ name, at: name.split('.'), state }, ...statesIn(state, `${name}.`)];
  });
}
const within = (config: Config, at: readonly string[]): Config =>
  at.reduce((node, key) => node.states[key], config);

for (const subject of [sandboxSubject, hostSubject, loopRegistrySubject]) {
  t.test(`the ${subject.name}: whatever is taken from the machine is missed`, async (t) => {
    t.same(
      broken(subject, () => {}),
      [],
      'nothing is wrong as it is',
    );
    const missed = (what: string, state: string, edit: (config: Config) => void): void => {
      const problems = broken(subject, edit);
      t.ok(
        problems.some((line) => line.startsWith(`${subject.name}: ${state} `)),
        `${what}: ${problems[0]}`,
      );
    };
    for (const { name, at, state } of statesIn(subject.machine.config)) {
      for (const end of ['onDone', 'onError'])
        if (state.invoke?.[end])
          missed(`${end} of ${name}`, name, (config) => delete within(config, at).invoke[end]);
      if (subject.waiting.includes(name))
        missed(`the timer of ${name}`, name, (config) => delete within(config, at).after);
      if (state.entry && JSON.stringify(state.entry).includes('answer'))
        missed(`the answer of ${name}`, name, (config) => {
          const node = within(config, at);
          node.entry = [node.entry].flat().filter((action: Config) => action.type !== 'answer');
        });
      for (const command of subject.always)
        if (state.on?.[command] && subject.rest.includes(name))
          missed(`${command} of ${name}`, name, (config) => delete within(config, at).on[command]);
    }
  });
}
