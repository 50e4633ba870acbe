import { createHash, randomBytes } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import t from 'tap';
import { DormouseError } from '../../../src/errors/index.ts';
import { execRequest, startKit, within } from './kit.ts';

/** Programs in a guest, through the driver and a real kit under sanitizers. */

const kit = await startKit();
t.teardown(async () => {
  const { exitCode, stderr } = await kit.stop();
  if (exitCode !== 0 || stderr !== '') throw new Error(`the kit ended with ${exitCode}: ${stderr}`);
});
const LIMIT_MS = 20_000;
const exec = (argv: string[], more: Parameters<typeof execRequest>[1] = {}) =>
  kit.driver.exec(kit.endpoint, execRequest(argv, more), within(LIMIT_MS));
const sh = (script: string, more: Parameters<typeof execRequest>[1] = {}) => exec(['sh', '-c', script], more);
const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString();
const asRoot = process.getuid?.() === 0 ? {} : { skip: 'needs root' };

/** Resolves when there is no such process; the test's time limit ends the wait. */
async function gone(pid: number): Promise<void> {
  for (;;) {
    try {
      process.kill(pid, 0);
    } catch {
      return;
    }
    await kit.driver.waitReady(kit.endpoint, within(LIMIT_MS));
  }
}

t.test('an exit code comes back', async (t) => {
  for (const code of [0, 1, 42, 255]) {
    const result = await sh(`exit ${code}`);
    t.match(result, { exitCode: code, signal: null, timedOut: false });
  }
});

t.test('so does the signal that ended a program', async (t) => {
  t.match(await sh('kill -TERM $$'), { exitCode: null, signal: 'SIGTERM' });
  t.match(await sh('kill -SEGV $$'), { exitCode: null, signal: 'SIGSEGV' });
});

t.test('stdout and stderr are kept apart, and every byte is as it was', async (t) => {
  const every = Buffer.from(Array.from({ length: 256 }, (_, i) => i));
  const result = await sh('cat; printf bad >&2', { stdin: every });
  t.same(Buffer.from(result.stdout), every);
  t.equal(text(result.stderr), 'bad');
});

t.test('input without an end of its own is ended', async (t) => {
  t.equal(text((await exec(['cat'])).stdout), '');
});

t.test('a mebibyte goes in and comes out', async (t) => {
  const stdin = randomBytes(1 << 20);
  const { stdout, stdoutTruncated } = await exec(['cat'], { stdin });
  t.equal(stdoutTruncated, false);
  t.ok(stdin.equals(stdout));
});

t.test('six mebibytes of input are taken while the program is slow to read them', async (t) => {
  const stdin = randomBytes(6 << 20);
  const { stdout } = await sh('sleep 0.2; sha256sum', { stdin });
  t.equal(text(stdout).slice(0, 64), createHash('sha256').update(stdin).digest('hex'));
});

t.test('a program that does not read its input ends as it likes', async (t) => {
  t.match(await exec(['true'], { stdin: randomBytes(3 << 20) }), { exitCode: 0, timedOut: false });
  t.match(await sh('exec <&-; sleep 0.1; exit 4', { stdin: randomBytes(3 << 20) }), { exitCode: 4 });
});

t.test('at its timeout a program and its children are killed, and the output so far is kept', async (t) => {
  const result = await sh('echo before; sleep 1000 & echo $!; wait', { timeoutMs: 3000 });
  t.match(result, { exitCode: null, signal: 'SIGKILL', timedOut: true });
  const [first, child] = text(result.stdout).split('\n');
  t.equal(first, 'before');
  await gone(Number(child));
  t.ok(result.durationMs >= 3000, `${result.durationMs} ms`);
});

t.test('output beyond the limit is cut, and said so', async (t) => {
  const result = await sh('head -c 5000 /dev/zero; printf x >&2', { outputLimitBytes: 1000 });
  t.match(result, { exitCode: 0, stdoutTruncated: true, stderrTruncated: false });
  t.equal(result.stdout.length, 1000);
});

t.test('output arrives while the program runs', async (t) => {
  const request = execRequest(['sh', '-c', 'echo first; sleep 60']);
  const seen = Promise.withResolvers<string>();
  const running = kit.driver.exec(kit.endpoint, request, within(LIMIT_MS), (_, bytes) =>
    seen.resolve(text(bytes)),
  );
  t.equal(await seen.promise, 'first\n');
  await kit.driver.kill(kit.endpoint, request.execId, 'SIGKILL', within(LIMIT_MS));
  t.match(await running, { signal: 'SIGKILL', timedOut: false });
});

t.test('what cannot be run says why', async (t) => {
  const noInterpreter = `/tmp/dormouse-${randomBytes(6).toString('hex')}`;
  await kit.driver.writeFile(
    kit.endpoint,
    noInterpreter,
    Buffer.from('#!/no/such/sh\n'),
    0o755,
    within(LIMIT_MS),
  );
  t.teardown(() => exec(['rm', noInterpreter]));
  const cases: [string, Parameters<typeof execRequest>, RegExp][] = [
    ['EXEC_NOT_FOUND', [['/no/such/program']], /No such file/],
    ['EXEC_NOT_FOUND', [['no-such-program']], /No such file/],
    ['EXEC_NOT_FOUND', [['']], /./],
    ['EXEC_NOT_EXECUTABLE', [['/etc/passwd']], /Permission denied/],
    ['EXEC_NOT_EXECUTABLE', [['/etc']], /Permission denied/],
    ['EXEC_NOT_EXECUTABLE', [[noInterpreter]], /interpreter/],
    ['EXEC_BAD_CWD', [['true'], { cwd: '/no/such/folder' }], /No such file/],
    ['EXEC_BAD_CWD', [['true'], { cwd: '/etc/passwd' }], /Not a directory/],
    ['EXEC_UNKNOWN_USER', [['true'], { user: 'no-such-user' }], /no-such-user/],
    ['INVALID_REQUEST', [['a\0b']], /NUL/],
    ['INVALID_REQUEST', [[]], /arguments/],
    ['INVALID_REQUEST', [['true', 'x'.repeat(5 << 20)]], /bytes/],
  ];
  for (const [code, request, message] of cases)
    await t.rejects(
      kit.driver.exec(kit.endpoint, execRequest(...request), within(LIMIT_MS)),
      { code, message },
      code,
    );
});

t.test('working directory and variables are those of the request', async (t) => {
  t.equal(text((await exec(['pwd'], { cwd: '/usr' })).stdout), '/usr\n');
  const env = { ONE: 'a b', EMPTY: '', PATH: '/bin:/usr/bin', HOME: '/here' };
  t.equal(text((await sh('echo "$ONE|$EMPTY|$PATH|$HOME"', { env })).stdout), 'a b||/bin:/usr/bin|/here\n');
  t.notMatch(text((await exec(['env'])).stdout), 'ASAN_OPTIONS', 'nothing of the kit’s own');
});

t.test('another user', asRoot, async (t) => {
  const { stdout } = await sh('id -un; id -gn; id -G; touch /etc/never 2>/dev/null || echo refused', {
    user: 'nobody',
  });
  t.match(text(stdout).split('\n'), ['nobody', 'nogroup', '65534', 'refused']);
  t.equal(text((await exec(['id', '-u'], { user: '4321' })).stdout), '4321\n', 'a number without an entry');
});

t.test('fifty at once, each with its own output', async (t) => {
  const results = await Promise.all(
    Array.from({ length: 50 }, (_, i) => sh(`echo ${i}; cat; exit ${i}`, { stdin: Buffer.from(`in ${i}`) })),
  );
  t.same(
    results.map(({ exitCode, stdout }) => [exitCode, text(stdout)]),
    Array.from({ length: 50 }, (_, i) => [i, `${i}\nin ${i}`]),
  );
});

t.test('a kit that comes to a request late does not hold that against the host', async (t) => {
  for (const afterMs of [10, 20, 30, 40, 60, 80]) {
    const results = Promise.all(Array.from({ length: 50 }, (_, i) => sh(`exit ${i}`)));
    await delay(afterMs);
    // It stands still while it starts the first of them, for longer than a connection may be without a hello.
    process.kill(kit.pid, 'SIGSTOP');
    await delay(1_200);
    process.kill(kit.pid, 'SIGCONT');
    t.same(
      (await results).map(({ exitCode }) => exitCode),
      Array.from({ length: 50 }, (_, i) => i),
      `stopped after ${afterMs} ms`,
    );
  }
});

t.test(
  'a background process that keeps stdout neither holds the end up nor is killed by writing',
  async (t) => {
    // It writes when the end was told, and then tells that it is alive by a file.
    const file = `/tmp/dormouse-${randomBytes(6).toString('hex')}`;
    const wait = `while [ ! -e ${file}.go ]; do sleep 0.02; done`;
    const result = await sh(`(${wait}; echo late; echo later; echo alive > ${file}) & echo now`);
    t.equal(text(result.stdout), 'now\n');
    const look = `touch ${file}.go; while [ ! -s ${file} ]; do sleep 0.02; done; cat ${file}; rm ${file} ${file}.go`;
    const alive = await sh(look, { timeoutMs: 20_000 });
    t.equal(text(alive.stdout), 'alive\n');
  },
);

t.test('the signal of a caller who goes away ends the wait, not the program', async (t) => {
  const request = execRequest(['sh', '-c', 'echo up; sleep 0.3; echo done']);
  const gone = new AbortController();
  const first = kit.driver.exec(kit.endpoint, request, gone.signal, () => gone.abort());
  await t.rejects(first, { code: 'EXEC_INTERRUPTED' });
  const again = await kit.driver.exec(kit.endpoint, request, within(LIMIT_MS));
  t.equal(text(again.stdout), 'up\ndone\n');
});

t.test('a signal for a program that is not there', async (t) => {
  const call = kit.driver.kill(kit.endpoint, 'nobody-knows', 'SIGTERM', within(LIMIT_MS));
  await t.rejects(call, { code: 'INVALID_REQUEST' });
  await t.rejects(kit.driver.kill(kit.endpoint, 'x', 'SIGNOTHING', within(LIMIT_MS)), DormouseError);
});

t.test('an ordinary process never touches the machine', async (t) => {
  const identity = {
    hostname: 'taken',
    mac: '02:00:00:00:00:01',
    machineId: '0'.repeat(32),
    nextToken: '0'.repeat(64),
  };
  const hostname = text((await exec(['hostname'])).stdout);
  const refusal = { code: 'GUEST_PROTOCOL', message: /not in a guest/ };
  await t.rejects(kit.driver.identify(kit.endpoint, identity, within(LIMIT_MS)), refusal);
  await t.rejects(kit.driver.growRoot(kit.endpoint, 0, within(LIMIT_MS)), refusal);
  t.equal(text((await exec(['hostname'])).stdout), hostname);
});
