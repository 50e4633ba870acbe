import type { IncomingMessage, ServerResponse } from 'node:http';
import t, { type Test } from 'tap';
import type { Inspection } from '../../../src/actors/system/inspection.ts';
import { serve } from '../browser.ts';
import { historyOf } from './histories.ts';

const { effect } = await import('@preact/signals');
const { actorSource } = await import('../../../src/ui/visualizer/actor/source.ts');

const told = historyOf(
  { from: null, to: 'running', cause: 'create' },
  { from: 'running', to: 'paused', cause: 'pause' },
  { from: 'paused', to: 'running', cause: 'resume' },
  { from: 'running', to: 'paused', cause: 'pause' },
  { from: 'paused', to: 'running', cause: 'resume' },
);

/** As the records have it. */
const transitionOf = ({ kind, id, refused, allowed, ...rest }: Inspection) => ({
  ...rest,
  sandbox_id: id,
  sandbox: { allowed },
});

/** Follows the sandbox until all that is told of it is known. */
async function wholeHistory(t: Test): Promise<Inspection[]> {
  const { entries, open } = actorSource('sandbox', 'sb-1');
  t.teardown(open());
  await new Promise<void>((resolve) => {
    t.teardown(
      effect(() => {
        if (entries.value.at(-1)?.seq === told.length) resolve();
      }),
    );
  });
  return [...entries.value];
}

/** Tells what happened after the last event that was read, and keeps the stream open. */
function stream({ headers }: IncomingMessage, response: ServerResponse): void {
  response.writeHead(200, { 'content-type': 'text/event-stream' });
  for (const one of told.slice(Number(headers['last-event-id'])))
    response.write(`id: ${one.seq}\nevent: inspection\ndata: ${JSON.stringify(one)}\n\n`);
  response.write(':\n\n');
}

t.test('records that are behind the sandbox leave no hole in its history', async (t) => {
  const asked: unknown[] = [];
  await serve(t, (request, response) => {
    const { url = '', headers } = request;
    if (url === '/v1/sandboxes/sb-1/inspection') response.end(JSON.stringify(told[3]));
    else if (url.startsWith('/v1/sandboxes/sb-1/transitions'))
      response.end(JSON.stringify({ transitions: told.slice(0, 2).map(transitionOf) }));
    else {
      asked.push(headers['last-event-id']);
      stream(request, response);
    }
  });
  t.same(
    (await wholeHistory(t)).map(({ seq }) => seq),
    [1, 2, 3, 4, 5],
  );
  t.same(asked, ['2'], 'the stream begins where the records ended');
});

t.test('records that do not answer are asked again', async (t) => {
  let tries = 0;
  await serve(t, (request, response) => {
    const { url = '' } = request;
    if (url === '/v1/sandboxes/sb-1/inspection') response.end(JSON.stringify(told[3]));
    else if (url.startsWith('/v1/sandboxes/sb-1/transitions')) {
      tries += 1;
      const problem = { code: 'UNAVAILABLE', title: '', detail: '', status: 503 };
      if (tries === 1) response.writeHead(503).end(JSON.stringify(problem));
      else response.end(JSON.stringify({ transitions: told.slice(0, 4).map(transitionOf) }));
    } else stream(request, response);
  });
  t.equal((await wholeHistory(t)).length, 5);
});
