import t from 'tap';
import { serve } from '../browser.ts';

const { ApiError, request } = await import('../../../src/ui/lib/api.ts');
const { send, sendForLines } = await import('../../../src/ui/lib/send.ts');

const call = { name: 'exec', method: 'POST', path: '/half' } as const;
/** The code that a page tells when a request fails. */
const codeOf = async (work: Promise<unknown>): Promise<string> =>
  await work.then(
    () => 'none',
    (error: unknown) => (error instanceof ApiError ? error.problem.code : `${error}`),
  );

t.test('an answer that breaks off, or is none, is told as one that did not come', async (t) => {
  await serve(t, ({ url }, response) => {
    if (url === '/page') response.end('<html>');
    else {
      response.writeHead(200, { 'content-length': 1000 });
      response.write('{"stream":"stdout","data":"a"}\n{"stream":"std', () => response.destroy());
    }
  });
  for (const path of ['/half', '/page'])
    t.equal(await codeOf(request('GET', path)), 'NO_ANSWER', `a request of ${path}`);
  t.equal(await codeOf(send(call)), 'NO_ANSWER', 'what a button has sent');
  const lines: unknown[] = [];
  t.equal(await codeOf(sendForLines(call, (line) => lines.push(line))), 'NO_ANSWER', 'lines');
  t.same(lines, [{ stream: 'stdout', data: 'a' }], 'those that came were told');
});

t.test('lines that end within one are told as broken off', async (t) => {
  await serve(t, (_, response) => response.end('{"stream":"stdout","data":"a"}\n{"stream":"std'));
  t.equal(await codeOf(sendForLines(call, () => {})), 'NO_ANSWER');
});

t.test('what is given up while it is read is no failure', async (t) => {
  await serve(t, (_, response) => {
    response.writeHead(200).write('{');
  });
  const stop = new AbortController();
  const asked = request('GET', '/never', { signal: stop.signal });
  setTimeout(() => stop.abort(), 50);
  const error = await asked.catch((reason: unknown) => reason);
  t.notOk(error instanceof ApiError);
  t.equal(error, stop.signal.reason);
});

t.test('what only asks is sent again when no answer comes; what changes something is not', async (t) => {
  const seen: string[] = [];
  await serve(t, ({ method = '', url, socket }, response) => {
    seen.push(`${method} ${url}`);
    if (url === '/never' || seen.length === 1) socket.destroy();
    else response.end('{"a":1}');
  });
  t.same(await request('GET', '/asked'), { a: 1 });
  t.same(seen, ['GET /asked', 'GET /asked']);
  t.equal(await codeOf(request('GET', '/never')), 'NO_ANSWER', 'at last it is told');
  t.equal(seen.filter((line) => line === 'GET /never').length, 4);
  t.equal(await codeOf(request('POST', '/never')), 'NO_ANSWER');
  t.equal(seen.filter((line) => line === 'POST /never').length, 1);
});

t.test('what is given up meanwhile is not sent again', async (t) => {
  let asked = 0;
  const stop = new AbortController();
  await serve(t, ({ socket }) => {
    asked += 1;
    socket.destroy();
    setTimeout(() => stop.abort(), 20);
  });
  const error = await request('GET', '/', { signal: stop.signal }).catch((reason: unknown) => reason);
  t.equal(error, stop.signal.reason);
  t.equal(asked, 1);
});
