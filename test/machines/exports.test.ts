import t from 'tap';
import { createMachine } from 'xstate';
import { definitionOf } from '../../src/machines/definition.ts';
import { graphOf } from '../../src/machines/graph.ts';
import {
  kinds,
  machineDefinition,
  machineDrawing,
  machineGraph,
  mermaidOf,
  svgOf,
} from '../../src/machines/index.ts';

for (const kind of kinds) {
  const graph = graphOf(kind);

  t.test(`the definition of the ${kind.kind} machine is JSON that makes the same machine`, async (t) => {
    const json: unknown = JSON.parse(JSON.stringify(definitionOf(kind)));
    t.same(json, definitionOf(kind), 'nothing is lost in JSON');
    const again = graphOf({ ...kind, machine: createMachine(json as never) as never });
    t.same(again, graph);
  });

  t.test(
    `the Mermaid diagram of the ${kind.kind} machine has every state and says every cause`,
    async (t) => {
      const text = mermaidOf(graph);
      const lines = text.trimEnd().split('\n');
      t.equal(lines[0], 'stateDiagram-v2');
      t.equal(
        lines.filter((line) => line.endsWith('{')).length,
        lines.filter((line) => /^ +}$/.test(line)).length,
      );
      const declared = lines.flatMap((line) => /^ +state "[^"]+" as (\w+)/.exec(line)?.[1] ?? []);
      t.same(declared.sort(), graph.states.map(({ id }) => id.replaceAll('.', '_')).sort());
      const arrows = lines.flatMap((line) => {
        const [, from, to, label] = /^ +(\w+) --> (\w+): (.+)$/.exec(line) ?? [];
        return from && to && label ? [{ from, to, label }] : [];
      });
      for (const { from, to } of arrows) {
        const parent = (alias: string) =>
          graph.states.find(({ id }) => id.replaceAll('.', '_') === alias)?.parent;
        t.equal(parent(from), parent(to), `${from} and ${to} stand side by side`);
        t.not(from, to, 'what leads on inside a state is shown inside it');
      }
      for (const { label } of graph.edges)
        t.ok(
          arrows.some((arrow) => arrow.label.includes(label)),
          label,
        );
      t.equal(
        lines.filter((line) => line.endsWith('--> [*]')).length,
        graph.states.filter((state) => state.kind === 'final').length,
      );
    },
  );

  t.test(`the picture of the ${kind.kind} machine needs nothing else`, async (t) => {
    const drawing = await machineDrawing(kind.kind);
    const svg = svgOf(drawing);
    t.match(svg, /^<svg xmlns="http:\/\/www\.w3\.org\/2000\/svg" /);
    t.notMatch(
      svg.replace('http://www.w3.org/2000/svg', ''),
      /https?:|url\(|@import|<script|<image|\son\w+=/,
    );
    const open: string[] = [];
    for (const [, close, name = '', self] of svg.matchAll(/<(\/?)(\w+)[^>]*?(\/?)>/g))
      if (close) t.equal(open.pop(), name, 'elements are closed in order');
      else if (!self) open.push(name);
    t.same(open, []);
    for (const { id, kind } of drawing.states)
      if (kind !== 'compound') t.ok(svg.includes(`data-state="${id}"`), id);
    for (const { id } of drawing.edges) t.ok(svg.includes(`data-edge="${id.replace('>', '&gt;')}"`), id);
    t.match(svg, /prefers-color-scheme: dark/);
  });
}

t.test('a drawing is made once, however many ask for it', async (t) => {
  const [one, other] = await Promise.all([machineDrawing('host'), machineDrawing('host')]);
  t.equal(one, other);
  t.equal(one.version, machineGraph('host').version);
});

t.test('what is no kind of actor has no machine', async (t) => {
  t.throws(() => machineGraph('scheduler'), { code: 'MACHINE_NOT_FOUND' });
  t.throws(() => machineDefinition('__proto__'), { code: 'MACHINE_NOT_FOUND' });
  await t.rejects(machineDrawing(''), { code: 'MACHINE_NOT_FOUND' });
});
