import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import t from 'tap';
import { MAX_STDIN_BYTES } from '../../src/actors/sandbox/protocol.ts';
import { Refusal, runHere, startTestEdge } from './edge.ts';
import { dormouse, finished, json, MAIN, startNode, temporaryFolder } from './support.ts';

t.jobs = 2;

for (const streams of [true, false]) {
  t.test(`bytes and status pass ${streams ? 'as a stream' : 'in one answer'}`, async (t) => {
    const edge = await startTestEdge(t, { streams });
    const { id } = edge.add();
    const exec = (argv: string[], input?: Uint8Array) =>
      dormouse(['exec', id, '--', ...argv], edge.settings, input);

    const binary = randomBytes(1024 * 1024);
    const echoed = await exec(['cat'], binary);
    t.equal(echoed.status, 0);
    t.ok(echoed.stdout.equals(binary), 'a mebibyte of random bytes comes back as it went');
    t.equal(echoed.stderr, '');

    const both = await exec(['sh', '-c', "printf 'out\\n\\377'; printf 'err\\000\\n' >&2; exit 7"]);
    t.equal(both.status, 7);
    t.same([...both.stdout], [...Buffer.from('out\n'), 0xff]);
    t.equal(both.stderr, 'err\0\n');

    t.equal((await exec(['sh', '-c', 'kill -9 $$'])).status, 128 + 9);
    t.equal((await exec(['/nonexistent/program'])).status, 127);
    t.equal((await exec(['/etc/passwd'])).status, 126);
  });
}

t.test('options become the request', async (t) => {
  const edge = await startTestEdge(t);
  const { id } = edge.add();
  const args = ['--cwd', '/tmp', '--env', 'A=1', '--env', 'B=x=y', '--user', 'ada', '--timeout-s', '2.5'];
  const result = await dormouse(
    ['sandbox', 'exec', id, ...args, '--', 'sh', '-c', 'echo $A $B; pwd'],
    edge.settings,
    Buffer.from('ä\n'),
  );
  t.equal(result.stdout.toString(), '1 x=y\n/tmp\n');
  t.same(edge.requests.at(-1)?.body, {
    argv: ['sh', '-c', 'echo $A $B; pwd'],
    cwd: '/tmp',
    env: { A: '1', B: 'x=y' },
    user: 'ada',
    timeout_s: 2.5,
    stdin: 'ä\n',
    stdin_encoding: 'utf8',
  });
});

t.test('a program that takes too long ends as with timeout(1)', async (t) => {
  const edge = await startTestEdge(t);
  const { id } = edge.add();
  const result = await dormouse(
    ['exec', id, '--timeout-s', '0.3', '--', 'sh', '-c', 'echo so far; exec sleep 60'],
    edge.settings,
  );
  t.equal(result.status, 124);
  t.equal(result.stdout.toString(), 'so far\n');
  t.match(result.stderr, /took too long/);
});

t.test('output comes while the program runs', async (t) => {
  const edge = await startTestEdge(t);
  const { id } = edge.add();
  const go = path.join(await temporaryFolder(t), 'go');
  const child = startNode(
    [MAIN, 'exec', id, '--', 'sh', '-c', `echo first; until [ -e ${go} ]; do sleep 0.02; done; echo second`],
    edge.settings,
  );
  const [first] = (await once(child.stdout, 'data')) as [Buffer];
  t.equal(first.toString(), 'first\n', 'before the program can go on');
  await writeFile(go, '');
  t.equal((await finished(child)).stdout.toString(), 'first\nsecond\n');
});

t.test('what the stream lost at its end is taken from the result', async (t) => {
  const edge = await startTestEdge(t, {
    run: async (request, _onOutput, signal) => runHere(request, () => {}, signal),
  });
  const { id } = edge.add();
  const result = await dormouse(['exec', id, '--', 'echo', 'all of it'], edge.settings);
  t.equal(result.stdout.toString(), 'all of it\n');
});

t.test('--json gives the result, with the status of the program', async (t) => {
  const edge = await startTestEdge(t);
  const { id } = edge.add();
  const result = await dormouse(['exec', id, '--json', '--', 'sh', '-c', 'echo hi; exit 3'], edge.settings);
  t.equal(result.status, 3);
  t.match(json(result), { exit_code: 3, stdout: Buffer.from('hi\n').toString('base64') });
});

t.test('standard input', async (t) => {
  const edge = await startTestEdge(t);
  const { id } = edge.add();

  const tooLarge = await dormouse(
    ['exec', id, '--', 'cat'],
    edge.settings,
    Buffer.alloc(MAX_STDIN_BYTES + 1),
  );
  t.equal(tooLarge.status, 1);
  t.match(tooLarge.stderr, /PAYLOAD_TOO_LARGE/);
  t.equal(edge.requests.length, 0, 'nothing was sent');

  const open = startNode([MAIN, 'exec', id, '--no-stdin', '--', 'echo', 'done'], edge.settings, {
    stdin: 'pipe',
  });
  t.equal((await finished(open)).stdout.toString(), 'done\n', 'a pipe that nobody closes is not waited for');
  t.same(edge.requests.at(-1)?.body, { argv: ['echo', 'done'] });
});

t.test('output that was cut is said so', async (t) => {
  const edge = await startTestEdge(t, {
    run: async (...args) => ({ ...(await runHere(...args)), stdout_truncated: true }),
  });
  const { id } = edge.add();
  const result = await dormouse(['exec', id, '--', 'echo', 'x'], edge.settings);
  t.equal(result.status, 0);
  t.match(result.stderr, /stdout was larger than the limit/);
});

t.test('failures in the middle of a stream', async (t) => {
  const edge = await startTestEdge(t, {
    run: async (_request, onOutput) => {
      onOutput('stdout', Buffer.from('half'));
      throw new Refusal('EXEC_INTERRUPTED', { state: 'pausing', allowed: ['get'] });
    },
  });
  const { id } = edge.add();
  const result = await dormouse(['exec', id, '--', 'true'], edge.settings);
  t.equal(result.status, 1);
  t.equal(result.stdout.toString(), 'half');
  t.match(result.stderr, /EXEC_INTERRUPTED/);
  t.match(result.stderr, /state: pausing/);
});

t.test('a server that goes away in the middle', async (t) => {
  const edge = await startTestEdge(t, {
    run: (_request, onOutput) => {
      onOutput('stdout', Buffer.from('half'));
      return new Promise(() => {});
    },
  });
  const { id } = edge.add();
  const child = startNode([MAIN, 'exec', id, '--', 'true'], edge.settings);
  await once(child.stdout, 'data');
  edge.app.server.closeAllConnections();
  const result = await finished(child);
  t.equal(result.status, 1);
  t.match(result.stderr, /SERVER_UNREACHABLE/);
});

t.test('a reader that has seen enough ends the command', async (t) => {
  const edge = await startTestEdge(t);
  const { id } = edge.add();
  const child = startNode([MAIN, 'exec', id, '--', 'seq', '1000000'], edge.settings, { buffer: false });
  await once(child.stdout, 'data');
  child.stdout.destroy();
  t.equal((await finished(child)).status, 141, 'as a program that SIGPIPE ended');
});
