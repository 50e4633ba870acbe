import { once } from 'node:events';
import { mkdir, readdir } from 'node:fs/promises';
import path from 'node:path';
import t, { type Test } from 'tap';
import type { ExecReply, SandboxView } from '../../src/actors/sandbox/protocol.ts';
import { Refusal, type RunExec, startTestEdge, type TestEdge } from './edge.ts';
import { dormouse, finished, json, lines, MAIN, startNode, temporaryFolder } from './support.ts';

t.jobs = 2;

/** What can be wrong with a sandbox's memory, disk and state, for the demo to find. */
type Fault =
  | 'forgets the disk'
  | 'forgets the memory'
  | 'starts its programs anew'
  | 'does not pause'
  | 'stays';

/** A guest that answers what the demo asks as a real one does, except for the fault. */
async function startGuest(t: Test, fault?: Fault): Promise<TestEdge> {
  const files = new Map<string, string>();
  let count = 0;
  const run: RunExec = async ({ argv = [] }) => {
    const [program, , script = ''] = argv;
    if (program === 'uname') return answer('Linux sb 6.1.0 x86_64');
    if (program === 'grep') return answer('1');
    if (program === 'cat') return answer(files.get(argv[1] ?? '') ?? '');
    if (program !== 'sh') return answer('');
    const [, , , , first = '', second = ''] = argv;
    if (script.includes('until')) {
      count = Math.max(count + 1, Number(first) + 1);
      return answer(String(count));
    }
    if (script.includes('setsid')) return answer('42');
    if (script.includes('/file"')) files.set(`${second}/file`, first);
    else if (script.includes('echo')) files.set(second, first);
    return answer('');
  };
  const onCommand = (view: SandboxView, command: string): SandboxView | undefined => {
    if (command === 'pause' && fault === 'does not pause') return { ...view, state: 'running' };
    if (command === 'destroy' && fault === 'stays') return { ...view, state: 'stranded' };
    if (command === 'resume') {
      if (fault === 'starts its programs anew') count = 0;
      for (const name of files.keys()) {
        if (fault === 'forgets the disk' && !name.endsWith('/file')) files.delete(name);
        if (fault === 'forgets the memory' && name.endsWith('/file')) files.delete(name);
      }
    }
    return undefined;
  };
  return await startTestEdge(t, { run, onCommand });
}

function answer(stdout: string): ExecReply {
  return {
    exit_code: 0,
    signal: null,
    timed_out: false,
    stdout: `${stdout}\n`,
    stdout_encoding: 'utf8',
    stdout_truncated: false,
    stderr: '',
    stderr_encoding: 'utf8',
    stderr_truncated: false,
    duration_ms: 1,
  };
}

interface Line {
  step: string;
  ok: boolean;
  detail: string;
  duration_ms: number;
}

t.test('a life in which every check holds', async (t) => {
  const edge = await startGuest(t);
  const result = await dormouse(['demo', '--json'], edge.settings);
  t.equal(result.status, 0);
  const steps = lines(result).map((line) => JSON.parse(line) as Line);
  t.same(
    steps.map(({ step }) => step),
    [
      'create',
      'exec',
      'write to disk',
      'write to memory',
      'start a counter',
      'pause',
      'resume',
      'read from disk',
      'read from memory',
      'the counter goes on',
      'destroy',
      'total',
    ],
  );
  t.ok(steps.every(({ ok, duration_ms }) => ok && duration_ms > 0));

  const plain = await dormouse(['demo'], edge.settings);
  t.equal(plain.status, 0);
  t.match(lines(plain).at(-1), /^✓ total +\d.* every check held$/);
  t.ok([...edge.sandboxes.values()].every(({ state }) => state === 'destroyed'));
});

for (const [fault, step] of [
  ['does not pause', 'pause'],
  ['forgets the disk', 'read from disk'],
  ['forgets the memory', 'read from memory'],
  ['starts its programs anew', 'the counter goes on'],
  ['stays', 'destroy'],
] as Array<[Fault, string]>) {
  t.test(`a sandbox that ${fault}`, async (t) => {
    const edge = await startGuest(t, fault);
    const result = await dormouse(['demo', '--json'], edge.settings);
    t.equal(result.status, 1);
    const steps = lines(result).map((line) => JSON.parse(line) as Line);
    t.match(steps.at(-2), { step, ok: false });
    t.match(steps.at(-1), { step: 'total', ok: false });
    if (fault !== 'stays')
      t.ok(
        [...edge.sandboxes.values()].every(({ state }) => state === 'destroyed'),
        'the sandbox is destroyed nevertheless',
      );
  });
}

for (const how of ['SIGINT', 'SIGTERM', 'a reader that goes away'] as const) {
  t.test(`ended by ${how}, the demo destroys its sandbox`, async (t) => {
    const asked = Promise.withResolvers<void>();
    const goOn = Promise.withResolvers<never>();
    // The first exec ends when the caller hangs up or the test says so.
    const edge = await startTestEdge(t, {
      run: (_request, _onOutput, signal) => {
        signal.addEventListener('abort', () => goOn.reject(new Refusal('CANCELLED')), { once: true });
        asked.resolve();
        return goOn.promise;
      },
    });
    const child = startNode([MAIN, 'demo'], edge.settings, { buffer: false });
    await Promise.all([once(child.stdout, 'data'), asked.promise]);
    if (how.startsWith('SIG')) child.kill(how as NodeJS.Signals);
    else {
      child.stdout.destroy();
      await once(child.stdout, 'close');
      // The line about the step that fails meets the closed pipe.
      goOn.reject(new Refusal('EXEC_INTERRUPTED'));
    }
    const { status } = await finished(child);
    t.equal(status, { SIGINT: 130, SIGTERM: 143, 'a reader that goes away': 141 }[how]);
    t.equal(edge.sandboxes.size, 1);
    t.ok([...edge.sandboxes.values()].every(({ state }) => state === 'destroyed'));
  });
}

t.test('without a server', async (t) => {
  const result = await dormouse(['demo', '--json'], { DORMOUSE_DATA_DIR: await temporaryFolder(t) });
  t.equal(result.status, 1);
  t.match(json(result), { code: 'SERVER_UNREACHABLE' });
  t.match(result.stderr, /npm run demo/);
});

t.test('an own server that does not come up leaves nothing', async (t) => {
  const folder = await temporaryFolder(t);
  // Too long for the sockets in it, which the server finds out at once.
  const TMPDIR = path.join(folder, 'x'.repeat(60));
  await mkdir(TMPDIR);
  const result = await dormouse(['demo', '--own-server-if-none', '--json'], {
    DORMOUSE_DATA_DIR: folder,
    TMPDIR,
  });
  t.equal(result.status, 1);
  t.match(json(result), { code: /CHILD_FAILED|DATA_DIR_TOO_LONG/ });
  t.same(await readdir(TMPDIR), []);
});
