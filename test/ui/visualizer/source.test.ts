import t from 'tap';
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

t.test('records that are behind the sandbox leave no hole in its history', async (t) => {
  const present = told[3];
  const asked: unknown[] = [];
  await serve(t, ({ url = '', headers }, response) => {
    if (url === '/v1/sandboxes/sb-1/inspection') response.end(JSON.stringify(present));
    else if (url.startsWith('/v1/sandboxes/sb-1/transitions'))
      response.end(JSON.stringify({ transitions: told.slice(0, 2).map(transitionOf) }));
    else {
      const after = Number(headers['last-event-id']);
      asked.push(after);
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      for (const one of told.slice(after))
        response.write(`id: ${one.seq}\nevent: inspection\ndata: ${JSON.stringify(one)}\n\n`);
      response.write(':\n\n');
    }
  });
  const { entries, open } = actorSource('sandbox', 'sb-1');
  t.teardown(open());
  await new Promise<void>((resolve) => {
    t.teardown(
      effect(() => {
        if (entries.value.at(-1)?.seq === told.length) resolve();
      }),
    );
  });
  t.same(
    entries.value.map(({ seq }) => seq),
    [1, 2, 3, 4, 5],
  );
  t.same(asked, [2], 'the stream begins where the records ended');
});
