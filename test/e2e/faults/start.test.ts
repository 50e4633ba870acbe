import net from 'node:net';
import t from 'tap';
import { tracesLeft } from '../../support/dormouse.ts';
import { refused } from './support.ts';

/** What keeps a server from starting: it says so, and leaves nothing. */

t.setTimeout(300_000);

t.test('a port that is taken: it says so and leaves nothing', async (t) => {
  const taken = net.createServer();
  await new Promise<void>((resolve) => taken.listen(0, '127.0.0.1', resolve));
  t.teardown(() => taken.close());
  const { port } = taken.address() as net.AddressInfo;
  const { exitCode, printed, dataDir } = await refused(t, { DORMOUSE_HTTP_PORT: String(port) });
  t.equal(exitCode, 1);
  t.match(printed, new RegExp(`${port}`));
  t.same(await tracesLeft(dataDir), []);
});

t.test('settings that are wrong are all named', async (t) => {
  const { exitCode, printed } = await refused(t, { DORMOUSE_HTTP_PORT: 'http', DORMOUSE_TYPO: '1' });
  t.not(exitCode, 0);
  t.match(printed, /DORMOUSE_HTTP_PORT/);
  t.match(printed, /DORMOUSE_TYPO/);
});
