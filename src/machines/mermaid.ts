import { outerOf } from './edges.ts';
import type { GraphState, MachineGraph } from './graph.ts';

/**
 * A machine as a Mermaid diagram, which GitHub and many editors draw. Mermaid has no transitions between states inside two
 * different ones: they are given to the states around them, and their labels say where they begin.
 */

/** A transition between two states that stand in the same one. */
interface Arrow {
  parent: string;
  from: string;
  to: string;
  labels: string[];
}

/** The text of the diagram, with a line feed at its end. */
export function mermaidOf({ states, edges }: MachineGraph): string {
  const arrows = new Map<string, Arrow>();
  for (const { source, target, label } of edges) {
    const { parent, from, to } = besides(source, target);
    const key = `${from}→${to}`;
    const arrow = arrows.get(key) ?? { parent, from, to, labels: [] };
    const begin = source === from ? '' : `${source.slice(from.length + 1)} `;
    arrow.labels.push(`${begin}${label}`);
    arrows.set(key, arrow);
  }
  const linesIn = (parent: string, indent: string): string[] => {
    const inside = states.filter((state) => (state.parent ?? '') === parent);
    return [
      ...inside.filter(({ initial }) => initial).map(({ id }) => `${indent}[*] --> ${aliasOf(id)}`),
      ...inside.flatMap((state) => linesOf(state, indent)),
      ...[...arrows.values()]
        .filter((arrow) => arrow.parent === parent)
        .map(({ from, to, labels }) => `${indent}${aliasOf(from)} --> ${aliasOf(to)}: ${labels.join(', ')}`),
      ...inside.filter(({ kind }) => kind === 'final').map(({ id }) => `${indent}${aliasOf(id)} --> [*]`),
    ];
  };
  const linesOf = ({ id, label, kind }: GraphState, indent: string): string[] => {
    const named = `${indent}state "${label}" as ${aliasOf(id)}`;
    return kind === 'compound' ? [`${named} {`, ...linesIn(id, `${indent}    `), `${indent}}`] : [named];
  };
  return `${['stateDiagram-v2', ...linesIn('', '    ')].join('\n')}\n`;
}

/** Ids of Mermaid have no dots. */
const aliasOf = (id: string): string => id.replaceAll('.', '_');

/** The two states around `source` and `target`, or they themselves, that stand side by side in one. */
function besides(source: string, target: string): Pick<Arrow, 'parent' | 'from' | 'to'> {
  const a = source.split('.');
  const b = target.split('.');
  let shared = 0;
  while (shared < a.length - 1 && shared < b.length - 1 && a[shared] === b[shared]) shared++;
  const from = a.slice(0, shared + 1).join('.');
  return { parent: outerOf(from), from, to: b.slice(0, shared + 1).join('.') };
}
