import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Test } from 'tap';

/** What modules of the pages use of a browser, where there is none: import this before them. */

const kept = new Map<string, string>();
const nothing = (): void => {};
const { setInterval } = globalThis;

Object.assign(globalThis, {
  sessionStorage: {
    getItem: (name: string) => kept.get(name) ?? null,
    setItem: (name: string, value: string) => kept.set(name, value),
    removeItem: (name: string) => kept.delete(name),
  },
  document: Object.assign(new EventTarget(), { hidden: false }),
  // The clock of a page goes on until the page is closed; a test must end.
  setInterval: (tick: () => void, everyMs: number) => setInterval(tick, everyMs).unref(),
  requestAnimationFrame: (draw: () => void) => Number(setTimeout(draw, 5)),
  cancelAnimationFrame: (frame: number) => clearTimeout(frame),
  window: { addEventListener: nothing, location: { pathname: '/', search: '', origin: 'http://test' } },
});

/**
 * A server that the page comes from: paths such as `/v1/fleet` lead to it.
 *
 * @returns its address
 */
export async function serve(
  t: Test,
  answer: (request: IncomingMessage, response: ServerResponse) => void,
): Promise<string> {
  const server = createServer(answer).listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const real = globalThis.fetch;
  globalThis.fetch = (input, init) => real(typeof input === 'string' ? origin + input : input, init);
  t.teardown(() => {
    globalThis.fetch = real;
    server.closeAllConnections();
    server.close();
  });
  return origin;
}
