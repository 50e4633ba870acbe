import t from 'tap';
import { ACTOR_KINDS } from '../../src/actors/system/inspection.ts';
import { machineDefinition, machineGraph, mermaidOf } from '../../src/machines/index.ts';
import { ask, startWorld } from './support.ts';

const world = await startWorld(t);
const { edge } = world;
const { key } = await world.newTeam(['read']);

t.test('lists the machines', async (t) => {
  const { status, body } = await ask(t, edge, 'GET', '/v1/machines', { key });
  t.equal(status, 200);
  t.same(
    body.machines.map(({ kind }: { kind: string }) => kind),
    ACTOR_KINDS,
  );
  const { version } = machineGraph('host');
  t.match(body.machines[1], { kind: 'host', title: 'Host', version, states: 5, transitions: 8 });
});

for (const kind of ACTOR_KINDS)
  t.test(`gives the ${kind} machine in each form`, async (t) => {
    const { version, states, edges } = machineGraph(kind);
    const drawing = await ask(t, edge, 'GET', `/v1/machines/${kind}`, { key });
    t.match(drawing, { status: 200, body: { v: 1, kind, version }, headers: { etag: `"${version}"` } });
    t.equal(drawing.body.states.length, states.length);
    t.equal(drawing.body.edges.length, edges.length);

    const definition = await ask(t, edge, 'GET', `/v1/machines/${kind}/definition`, { key });
    t.same(definition.body, machineDefinition(kind));

    const mermaid = await ask(t, edge, 'GET', `/v1/machines/${kind}/mermaid`, { key });
    t.equal(mermaid.text, mermaidOf(machineGraph(kind)));
    t.equal(mermaid.headers['content-type'], 'text/plain; charset=utf-8');

    const svg = await ask(t, edge, 'GET', `/v1/machines/${kind}/svg`, { key });
    t.match(svg.text, /^<svg /);
    t.equal(svg.headers['content-type'], 'image/svg+xml; charset=utf-8');
  });

t.test('whoever has the version is not sent it again', async (t) => {
  const { version } = machineGraph('sandbox');
  for (const path of ['', '/definition', '/mermaid', '/svg'])
    for (const [known, status] of [
      [`"${version}"`, 304],
      [`"other", W/"${version}"`, 304],
      ['"other"', 200],
    ] as const) {
      const answer = await edge.inject({
        url: `/v1/machines/sandbox${path}`,
        headers: { 'x-api-key': key, 'if-none-match': known },
      });
      t.equal(answer.statusCode, status, `${path} ${known}`);
      t.equal(answer.body === '', status === 304);
    }
});

t.test('what is no kind of actor is not found, in each form', async (t) => {
  for (const path of ['x', 'x/definition', 'x/mermaid', 'x/svg', '__proto__']) {
    const { status, body } = await ask(t, edge, 'GET', `/v1/machines/${path}`, { key });
    t.match({ status, body }, { status: 404, body: { code: 'MACHINE_NOT_FOUND' } }, path);
  }
});

t.test('a key is needed', async (t) => {
  for (const path of ['', '/host', '/host/svg'])
    t.equal((await ask(t, edge, 'GET', `/v1/machines${path}`)).status, 401, path);
});
