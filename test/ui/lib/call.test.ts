import { execa } from 'execa';
import t from 'tap';
import { curlOf, natsOf, quoted } from '../../../src/ui/lib/call.ts';

const ORIGIN = 'http://127.0.0.1:7070';

t.test('a shell takes a quoted text as one word, whatever is in it', async (t) => {
  for (const text of ['plain', "it's", 'a b', '$HOME', '"', '\\', '`id`', '', 'ä\nö', '*']) {
    const { stdout } = await execa('sh', ['-c', `printf %s ${quoted(text)}`], { stripFinalNewline: false });
    t.equal(stdout, text);
  }
});

t.test('curl gets method, headers and body, and the key from the environment', async (t) => {
  const call = { name: 'exec', method: 'POST', path: '/v1/x', body: { cmd: "echo 'a'" } } as const;
  const text = curlOf(call, ORIGIN, true);
  const { stdout } = await execa('sh', ['-c', text.replace(/^curl/, 'printf "%s\\n"')], {
    env: { DORMOUSE_API_KEY: 'dm_key' },
  });
  t.same(stdout.split('\n'), [
    '-s',
    '-X',
    'POST',
    `${ORIGIN}/v1/x`,
    '-H',
    'X-API-Key: dm_key',
    '-H',
    'content-type: application/json',
    '-d',
    `{"cmd":"echo 'a'"}`,
  ]);
});

t.test('a server that asks for no key is sent none, and a GET has neither method nor type', async (t) => {
  const text = curlOf({ name: 'list', method: 'GET', path: '/v1/snapshots' }, ORIGIN, false);
  t.equal(text, `curl -s ${ORIGIN}/v1/snapshots`);
});

t.test('a file is sent as it is', async (t) => {
  const text = curlOf(
    {
      name: 'build template',
      method: 'POST',
      path: '/v1/templates?name=a',
      file: 'my rootfs.tar',
      headers: { 'content-type': 'application/x-tar' },
    },
    ORIGIN,
    false,
  );
  t.match(text, /-T 'my rootfs.tar'/);
  t.match(text, /-H 'content-type: application\/x-tar'/);
  t.notMatch(text, /-d/);
});

t.test('what only the edge answers has no form over NATS', async (t) => {
  t.equal(natsOf({ name: 'list', method: 'GET', path: '/v1/snapshots' }), undefined);
  t.equal(
    natsOf({
      name: 'pause',
      method: 'POST',
      path: '/v1/x',
      nats: { subject: 'dormouse.x.pause', body: {}, timeoutS: 120 },
    }),
    "nats req --timeout 120s dormouse.x.pause '{}'",
  );
});
