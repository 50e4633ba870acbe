import type { ServerResponse } from 'node:http';
import t from 'tap';
import { serve } from '../browser.ts';

const { ApiError } = await import('../../../src/ui/lib/api.ts');
const { keepKey } = await import('../../../src/ui/lib/session.ts');
const { follow } = await import('../../../src/ui/lib/sse.ts');

const head = (response: ServerResponse): ServerResponse =>
  response.writeHead(200, { 'content-type': 'text/event-stream' });

t.test('a stream goes on where it was when the connection breaks', async (t) => {
  const asked: { id: string | undefined; key: string | undefined }[] = [];
  let cut = (): void => {};
  await serve(t, ({ headers }, response) => {
    asked.push({
      id: headers['last-event-id'] as string | undefined,
      key: headers['x-api-key'] as string | undefined,
    });
    head(response);
    if (asked.length === 1) {
      // Cut within an event, which has not come then.
      response.write('id: 7\nevent: a\ndata: {"n":1}\n\nevent: b\ndata: {"n"');
      cut = () => response.destroy();
    } else if (asked.length === 2) response.destroy();
    else response.write(': nothing\n\nevent: b\ndata: {"n":2}\n\n');
  });
  keepKey('dm_key');
  t.teardown(() => keepKey(''));
  const ended = new AbortController();
  const told: unknown[] = [];
  const statuses: string[] = [];
  await follow(
    '/stream',
    (event) => {
      told.push(event);
      if (told.length === 1) cut();
      else ended.abort();
    },
    { signal: ended.signal, lastId: '3', onStatus: (status) => statuses.push(status) },
  );
  t.same(told, [
    { event: 'a', data: { n: 1 } },
    { event: 'b', data: { n: 2 } },
  ]);
  t.same(
    asked,
    ['3', '7', '7'].map((id) => ({ id, key: 'dm_key' })),
  );
  t.same(statuses, ['connecting', 'open', 'waiting', 'connecting', 'waiting', 'connecting', 'open']);
});

t.test('a server that is overloaded is asked again, and one that refuses is not', async (t) => {
  const answers = [503, 429, 403];
  await serve(t, (_, response) => {
    const status = answers.shift() ?? 500;
    response.writeHead(status, { 'content-type': 'application/problem+json' });
    response.end(JSON.stringify({ code: `CODE_${status}`, title: '', detail: '', status }));
  });
  const error = await follow('/stream', () => {}, { signal: new AbortController().signal }).catch(
    (thrown: unknown) => thrown,
  );
  t.ok(error instanceof ApiError);
  t.match(error, { problem: { code: 'CODE_403' } });
  t.same(answers, []);
});

t.test('a stream that the server ends is opened anew, and not called broken', async (t) => {
  let count = 0;
  await serve(t, (_, response) => {
    count += 1;
    head(response).end('event: a\ndata: {}\n\n');
  });
  const ended = new AbortController();
  const statuses: string[] = [];
  await follow(
    '/stream',
    () => {
      if (count === 2) ended.abort();
    },
    { signal: ended.signal, onStatus: (status) => statuses.push(status) },
  );
  t.notOk(statuses.includes('waiting'), statuses.join(' '));
});

t.test('a page that nobody sees lets go of its stream, and goes on when it is seen again', async (t) => {
  const page = document as unknown as EventTarget & { hidden: boolean };
  const turn = (hidden: boolean): void => {
    page.hidden = hidden;
    page.dispatchEvent(new Event('visibilitychange'));
  };
  t.teardown(() => turn(false));
  const asked: (string | undefined)[] = [];
  let isLetGo = false;
  let events = 0;
  const until = async (reached: () => boolean): Promise<void> => {
    while (!reached()) await new Promise((resolve) => setTimeout(resolve, 5));
  };
  await serve(t, ({ headers }, response) => {
    asked.push(headers['last-event-id'] as string | undefined);
    head(response);
    response.write(`id: ${asked.length}\nevent: a\ndata: {}\n\n`);
    response.once('close', () => {
      isLetGo = true;
    });
  });
  const ended = new AbortController();
  const statuses: string[] = [];
  const onEvent = (): void => {
    events += 1;
    if (events === 2) ended.abort();
  };
  const following = follow('/stream', onEvent, {
    signal: ended.signal,
    hiddenMaxMs: 50,
    onStatus: (status) => statuses.push(status),
  });
  await until(() => events === 1);
  // A moment elsewhere is nothing.
  turn(true);
  turn(false);
  await new Promise((resolve) => setTimeout(resolve, 100));
  t.equal(asked.length, 1);
  turn(true);
  await until(() => isLetGo);
  await new Promise((resolve) => setTimeout(resolve, 100));
  t.same(asked, [undefined], 'it does not ask while it is hidden');
  turn(false);
  await following;
  t.same(asked, [undefined, '1'], 'it goes on where it was');
  t.same(statuses, ['connecting', 'open', 'connecting', 'open'], 'which is no failure');
});
