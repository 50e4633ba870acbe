import type { ServerResponse } from 'node:http';
import t, { type Test } from 'tap';
import { serve } from '../browser.ts';
import { exampleRow } from '../fleet-row.ts';

const { effect } = await import('@preact/signals');
const { fleet, openFleet } = await import('../../../src/ui/lib/live.ts');
const { keepKey } = await import('../../../src/ui/lib/session.ts');
type State = typeof fleet.value;

const transition = (id: string, seq: number, state: string): string =>
  `id: c${seq}\nevent: transition\ndata: ${JSON.stringify({
    ...exampleRow(id, seq, state),
    from: null,
    cause: 'x',
    step: null,
    step_duration_ms: null,
    error: null,
  })}\n\n`;

/** A server with a fleet, whose streams a test writes to. */
async function fleetServer(t: Test) {
  const asked: string[] = [];
  const streams: ServerResponse[] = [];
  const sandboxes = [exampleRow('a', 1, 'running')];
  await serve(t, ({ url, headers }, response) => {
    asked.push(url === '/v1/fleet/stream' ? `stream ${headers['last-event-id']}` : `${url}`);
    if (url === '/v1/fleet/stream') {
      streams.push(response);
      response.writeHead(200, { 'content-type': 'text/event-stream' }).write(':\n\n');
    } else if (headers['x-api-key'] === 'wrong') {
      response.writeHead(401);
      response.end(JSON.stringify({ code: 'UNAUTHENTICATED', title: '', detail: '', status: 401 }));
    } else {
      const cursor = `c${asked.length}`;
      const at = new Date().toISOString();
      response.end(JSON.stringify({ at, sandboxes, truncated: false, usual: [], cursor }));
    }
  });
  return { asked, streams, sandboxes };
}

/** Waits until the fleet is as it should be. */
async function until(is: (state: State) => boolean): Promise<State> {
  let stop = (): void => {};
  const state = await new Promise<State>((resolve) => {
    stop = effect(() => {
      if (is(fleet.value)) resolve(fleet.value);
    });
  });
  stop();
  return state;
}

t.test('viewers share one stream, which is closed with the last of them', async (t) => {
  const { asked, streams } = await fleetServer(t);
  const closeFirst = openFleet();
  const closeSecond = openFleet();
  await until(({ status }) => status === 'open');
  t.same(asked, ['/v1/fleet', 'stream c1'], 'it begins where the answer ended');
  closeFirst();
  closeFirst();
  streams[0]?.write(transition('a', 2, 'pausing.draining'));
  const { changes } = await until(({ rows }) => rows.get('a')?.seq === 2);
  t.equal(changes.length, 1, 'the other one still hears');
  const ended = new Promise((resolve) => streams[0]?.once('close', resolve));
  closeSecond();
  await ended;
});

t.test('what comes together changes the fleet once', async (t) => {
  const { streams } = await fleetServer(t);
  t.teardown(openFleet());
  await until(({ status, rows }) => status === 'open' && rows.size === 1);
  let changes = -1;
  const stop = effect(() => {
    fleet.value;
    changes += 1;
  });
  const many = Array.from({ length: 300 }, (_, at) => transition(`s${at}`, 1, 'running'));
  streams[0]?.write(many.join(''));
  await until(({ rows }) => rows.size === 301);
  stop();
  t.ok(changes <= 3, `${changes} times for 300 events`);
});

t.test('after a reset all is asked for anew', async (t) => {
  const { asked, streams, sandboxes } = await fleetServer(t);
  t.teardown(openFleet());
  await until(({ status, rows }) => status === 'open' && rows.size === 1);
  sandboxes.push(exampleRow('b', 9, 'paused'));
  streams[0]?.write('event: reset\ndata: {}\n\n');
  await until(({ status, rows }) => status === 'open' && rows.size === 2);
  t.same(asked, ['/v1/fleet', 'stream c1', '/v1/fleet', 'stream c3']);
});

t.test('a key that is wrong is said, and another one tried', async (t) => {
  await fleetServer(t);
  keepKey('wrong');
  t.teardown(() => keepKey(''));
  t.teardown(openFleet());
  const { status } = await until(({ problem }) => problem?.code === 'UNAUTHENTICATED');
  t.equal(status, 'waiting');
  keepKey('right');
  await until(({ status, problem }) => status === 'open' && problem === null);
});
