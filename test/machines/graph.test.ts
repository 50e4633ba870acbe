import t from 'tap';
import { actorOptions } from '../../scripts/docs/actor-options.mjs';
import { timerCause } from '../../src/actors/system/transition-log.ts';
import { graphOf } from '../../src/machines/graph.ts';
import { kinds } from '../../src/machines/kinds.ts';
import { edgeOf } from '../../src/machines/match.ts';
import { declaredIn } from '../actors/checks.ts';
import { explore, type Move } from '../actors/explore.ts';
import { subjects } from '../actors/subjects.ts';

/** What transitions of the real machines say of why they are made. */
function causeOf({ kind, name }: Move): string {
  if (kind === 'done') return 'step.done';
  if (kind === 'failed' || kind === 'timeout') return 'step.failed';
  return kind === 'timer' ? timerCause(name) : name;
}

for (const [index, kind] of kinds.entries()) {
  const graph = graphOf(kind);
  const subject = subjects[index]!;

  t.test(
    `every transition that the ${kind.kind} machine can make has one edge, which says why`,
    async (t) => {
      t.equal(subject.machine, kind.machine, 'it is the machine that the actor runs');
      const happened = explore(subject).places.flatMap(({ state, moves }) =>
        moves
          .filter(({ to }) => to.state !== state)
          .map((move) => ({ from: state, to: move.to.state, move })),
      );
      t.ok(happened.length > 10);
      const missing = new Set<string>();
      const used = new Set<string>();
      for (const { from, to, move } of happened) {
        const edge = edgeOf(graph, { from, to, cause: causeOf(move) });
        if (edge) used.add(edge.id);
        if (edge?.target !== to || !(from === edge.source || from.startsWith(`${edge.source}.`)))
          missing.add(`${from} → ${to} by ${causeOf(move)}`);
      }
      t.same([...missing], []);
      t.same(
        graph.edges.map(({ id }) => id).filter((id) => !used.has(id)),
        [],
        'every edge is made by something',
      );
    },
  );

  t.test(`the ${kind.kind} graph has all that is declared`, async (t) => {
    const leading = declaredIn({ subject }).transitions.filter(
      ({ transition }) => (transition as { target?: unknown }).target !== undefined,
    );
    t.equal(
      graph.edges.reduce((sum, { members }) => sum + members.length, 0),
      leading.length,
    );
    t.same(
      graph.states.filter(({ kind }) => kind !== 'compound').map(({ id }) => id),
      declaredIn({ subject }).states,
    );
    t.equal(new Set(graph.edges.map(({ id }) => id)).size, graph.edges.length, 'ids are unique');
  });

  t.test(`the commands of the ${kind.kind} kind are those that its actor takes`, async (t) => {
    const { commands } = await actorOptions(kind.kind);
    t.same([...kind.commands].sort(), [...commands].sort());
  });
}

t.test('states that only failures lead to are marked', async (t) => {
  const [sandbox] = kinds.map(graphOf);
  t.same(
    sandbox?.states.filter(({ failure }) => failure).map(({ id }) => id),
    [
      'capturing.thawingAgain',
      'pausing.thawing',
      'pausing.thawingAgain',
      'pausing.restarting',
      'resuming.rollingBack',
      'crashed',
      'crashed.cleaning',
      'crashed.resting',
      'undoing',
      'stranded',
      'failed',
    ],
  );
});

t.test('edges are in words', async (t) => {
  const [sandbox] = kinds.map(graphOf);
  const labelled = (id: string) => sandbox?.edges.find((edge) => edge.id === id);
  for (const [id, label, isLabelled] of [
    ['running→capturing.settling:command', 'snapshot, fork', true],
    ['running→crashed.cleaning:failure', 'diskLost, watchVm ends', true],
    ['running→destroying:timeout', 'expired [else]', true],
    ['stranded→pausing.stoppingVm:timeout', 'backOff [headingPausing]', true],
    ['capturing.freezing→capturing.copying:step', '[else]', true],
    ['pausing.draining→pausing.freezing:step', 'done, fails', false],
    ['pausing.stoppingVm→pausing.restarting:failure', '[notSaved]', true],
    ['pausing.stoppingVm→stranded:failure', 'fails', false],
  ] as const)
    t.match(labelled(id), { label, isLabelled }, id);
});

t.test('a failure that all inside a state share leaves the state around them', async (t) => {
  const [sandbox] = kinds.map(graphOf);
  const shared = sandbox?.edges.filter(({ members }) => members.length > 3) ?? [];
  t.same(
    shared.map(({ id, members }) => [id, members.map(({ from }) => from)]),
    [
      ['creating→undoing:failure', ['creating.disk', 'creating.network', 'creating.vm', 'creating.ready']],
      [
        'restarting→crashed.cleaning:failure',
        ['stoppingVm', 'disk', 'network', 'vm', 'ready'].map((state) => `restarting.${state}`),
      ],
    ],
  );
});

t.test('what is no transition between states has no edge', async (t) => {
  const [sandbox] = kinds.map(graphOf);
  if (!sandbox) return t.fail();
  t.equal(edgeOf(sandbox, { from: null, to: 'creating.disk', cause: 'create' }), undefined);
  t.equal(edgeOf(sandbox, { from: 'running', to: 'running', cause: 'power cut' }), undefined);
  t.equal(edgeOf(sandbox, { from: 'running', to: 'paused', cause: 'pause' }), undefined);
});

t.test('what a state inside takes itself, the state around it does not get', async (t) => {
  const edge = (from: string, to: string) => ({
    id: from,
    members: [{ from, to, cause: 'go', guard: null }],
  });
  const edges = [edge('outer', 'away'), edge('outer.inner', 'away'), edge('outer.other', 'back')];
  t.equal(edgeOf({ edges }, { from: 'outer.inner', to: 'away', cause: 'go' })?.id, 'outer.inner');
  t.equal(edgeOf({ edges }, { from: 'outer.other', to: 'away', cause: 'go' })?.id, 'outer');
  t.equal(edgeOf({ edges }, { from: 'outerer', to: 'away', cause: 'go' }), undefined);
});

t.test('the version changes with the machine, and only with it', async (t) => {
  const [one, again] = [kinds[0]!, kinds[0]!].map(graphOf);
  t.equal(one?.version, again?.version);
  t.match(one?.version, /^[0-9a-f]{16}$/);
  t.not(graphOf({ ...kinds[0]!, words: {} }).version, one?.version);
});
