import { actorOptions } from './actor-options.mjs';

/**
 * The tables of states in ARCHITECTURE.md, and the picture of the sandbox machine, from the machines themselves.
 *
 * @typedef {import('xstate').AnyStateNode} Node
 */

/** What is written stands between two lines such as `<!-- states: sandbox, … -->` and `<!-- /states -->`. */
const PLACE = /^(<!-- states: ([\w-]+), [^\n]* -->\n).*?^(<!-- \/states -->)$/gms;

/**
 * ARCHITECTURE.md with the tables as they should be.
 *
 * @param {string} page
 * @returns {Promise<string>}
 */
export async function withStates(page) {
  const sandbox = await actorOptions('sandbox');
  /** @type {Record<string, string>} */
  const written = {
    sandbox: statesTable(sandbox),
    'sandbox-picture': picture(sandbox),
    host: statesTable(await actorOptions('host')),
    'loop-registry': statesTable(await actorOptions('loop-registry')),
  };
  const places = new Set([...page.matchAll(PLACE)].map(([, , name]) => name));
  for (const name of Object.keys(written))
    if (!places.has(name)) throw new Error(`ARCHITECTURE.md has no place for the states of ${name}.`);
  return page.replace(PLACE, (present, begin, name, end) =>
    name in written ? `${begin}\n${written[name]}\n${end}` : present,
  );
}

/**
 * One row for each state: what it runs, and where everything that can happen there leads.
 *
 * @param {Pick<import('../../src/actors/system/actor-options.ts').ActorOptions<any>, 'machine' | 'steps' | 'commands'>} actor
 */
export function statesTable({ machine, steps, commands }) {
  const rows = leavesOf(machine.root).map((node) => {
    const [invoke] = node.invoke;
    const step = invoke && steps[String(invoke.src)];
    const outcome = (/** @type {string} */ type) =>
      invoke ? leadsTo(node.transitions.get(`xstate.${type}.actor.${invoke.id}`)) : '';
    const events = [...node.transitions].filter(([event]) => !event.startsWith('xstate.'));
    const taken = [
      ...events
        .filter(([event]) => commands.includes(event))
        .map(([event, all]) => arrow(`\`${event}\``, all)),
      ...events
        .filter(([event]) => !commands.includes(event))
        .map(([event, all]) => arrow(`*${event}*`, all)),
    ];
    const after = [...node.transitions]
      .filter(([event]) => event.startsWith('xstate.after.'))
      .map(([, all]) => arrow(delayOf(machine, all[0]?.delay), all));
    const cells = [
      [`\`${nameOf(node)}\``, ...marksOf(node)].join(', '),
      step ? `\`${step.name}\`, ${step.direction}, ${limitOf(step.timeoutMs)}` : '',
      outcome('done'),
      outcome('error'),
      taken.join('; '),
      after.join('; '),
    ];
    return `| ${cells.join(' | ')} |\n`;
  });
  const head = ['state', 'step, direction, limit', 'done →', 'failed →', 'takes →', 'after →'];
  return `| ${head.join(' | ')} |\n|${'---|'.repeat(head.length)}\n${rows.join('')}`;
}

/**
 * The outer states as a Mermaid diagram. Inner ones are left out: thirty arrows can be read, a hundred cannot.
 *
 * @param {Pick<import('../../src/actors/system/actor-options.ts').ActorOptions<any>, 'machine'>} actor
 */
export function picture({ machine }) {
  const leaves = leavesOf(machine.root);
  const outer = (/** @type {Node} */ node) => node.path[0] ?? '';
  /** @type {Map<string, Map<string, string[]>>} arrow → what happens → in which inner states */
  const arrows = new Map();
  for (const node of leaves)
    for (const [event, all] of node.transitions)
      for (const { target: [target] = [] } of all) {
        if (!target || outer(target) === outer(node)) continue;
        const key = `${outer(node)} --> ${outer(target)}`;
        const causes = arrows.get(key) ?? new Map();
        arrows.set(key, causes.set(causeOf(event), [...(causes.get(causeOf(event)) ?? []), node.path[1]]));
      }
  /** @param {string} arrow @param {Map<string, string[]>} causes */
  const lineOf = (arrow, causes) => {
    const inner = leaves.filter((node) => arrow.startsWith(`${outer(node)} `)).length;
    const labels = [...causes].map(([cause, where]) =>
      isEnd(cause) && where.length < inner ? `${[...new Set(where)].join(', ')} ${cause}` : cause,
    );
    return `    ${arrow}: ${labels.join(', ')}`;
  };
  return [
    '```mermaid',
    'stateDiagram-v2',
    `    [*] --> ${leaves[0] ? outer(leaves[0]) : ''}`,
    ...[...arrows].map(([arrow, causes]) => lineOf(arrow, causes)),
    ...leaves.filter(({ type }) => type === 'final').map((node) => `    ${nameOf(node)} --> [*]`),
    '```\n',
  ].join('\n');
}

/** @param {string} cause */
const isEnd = (cause) => cause === 'done' || cause === 'failed';

/**
 * Why a state is left, in a word.
 *
 * @param {string} event
 */
function causeOf(event) {
  if (event.startsWith('xstate.done.')) return 'done';
  if (event.startsWith('xstate.error.')) return 'failed';
  return event.startsWith('xstate.after.') ? 'later' : event;
}

/**
 * The states that are not made of others, in the order of the machine.
 *
 * @param {any} node
 * @returns {any[]}
 */
function leavesOf(node) {
  const children = Object.values(node.states);
  return children.length === 0 ? [node] : children.flatMap(leavesOf);
}

/** @param {Node} node */
const nameOf = (node) => node.path.join('.');

/**
 * Tags of a state, its own and those of the states around it, and whether it is an end.
 *
 * @param {Node} node
 */
function marksOf(node) {
  const marks = new Set(node.type === 'final' ? ['end'] : []);
  for (let /** @type {Node | undefined} */ at = node; at; at = at.parent)
    for (const tag of at.tags) marks.add(tag);
  return [...marks];
}

/** @param {number} timeoutMs */
const limitOf = (timeoutMs) => (Number.isFinite(timeoutMs) ? `${timeoutMs / 1000} s` : 'no limit');

/**
 * @param {string} name
 * @param {readonly any[]} transitions
 */
function arrow(name, transitions) {
  const where = leadsTo(transitions);
  return where === 'stays' ? name : `${name} → ${where}`;
}

/**
 * Where transitions of one event lead: the first whose guard holds is made.
 *
 * @param {readonly any[] | undefined} transitions
 */
function leadsTo(transitions) {
  if (!transitions) return 'stays';
  return transitions
    .map(({ target, guard }, index) => {
      const where = target ? `\`${nameOf(entered(target[0]))}\`` : 'stays';
      const when = typeof guard === 'string' ? guard : guard?.type;
      if (when) return `${where} if \`${when}\``;
      return index > 0 ? `else ${where}` : where;
    })
    .join(', ');
}

/**
 * The innermost state that is entered with a state.
 *
 * @param {any} node
 * @returns {any}
 */
function entered(node) {
  const [inner] = node.initial?.target ?? [];
  return inner ? entered(inner) : node;
}

/**
 * A delay: its time, or its name when the machine computes it.
 *
 * @param {import('xstate').AnyStateMachine} machine
 * @param {string | number | undefined} delay
 */
function delayOf(machine, delay) {
  const known = typeof delay === 'string' ? machine.implementations.delays[delay] : delay;
  return typeof known === 'number' ? `${known / 1000} s` : `\`${delay}\``;
}
