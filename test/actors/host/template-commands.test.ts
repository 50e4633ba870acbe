import t from 'tap';
import { notReadyBecause, runTemplateCommands } from '../../../src/actors/host/template-commands.ts';
import type { ExecReply, ExecRequest } from '../../../src/actors/sandbox/protocol.ts';
import type { Sandbox } from '../../../src/actors/sandbox/sandbox.ts';
import { DormouseError, hasCode } from '../../../src/errors/index.ts';
import { execReply } from '../../support/exec-reply.ts';
import { fakeClock } from '../../support/fake-clock.ts';

/** Runs the commands on a guest that answers as told, with a clock that goes on whenever somebody waits for it. */
function world(answer: (request: ExecRequest) => Partial<ExecReply>) {
  const clock = fakeClock();
  const asked: ExecRequest[] = [];
  const said: string[] = [];
  const caller = new AbortController();
  const sandbox = {
    async exec(request: ExecRequest) {
      asked.push(request);
      clock.advance(1_000);
      return { ...execReply, ...answer(request) };
    },
  } as unknown as Sandbox;
  const impatient = {
    ...clock,
    async sleep(ms: number) {
      caller.signal.throwIfAborted();
      clock.advance(ms);
    },
  };
  const run = (file: { user?: string; start_cmd?: string; ready_cmd?: string }) =>
    runTemplateCommands(
      sandbox,
      { name: 'python', user: null, start_cmd: null, ready_cmd: null, ...file },
      { clock: impatient, signal: caller.signal, said: (message) => void said.push(message) },
    );
  return { run, asked, said, caller, clock };
}
const scriptOf = ({ argv }: ExecRequest): string => argv?.[2] ?? '';

t.test(
  'the start command is started for the user of the template, and the ready command tried',
  async (t) => {
    let tries = 0;
    const { run, asked, said } = world(({ cmd }) => {
      if (cmd !== 'curl localhost') return {};
      tries += 1;
      return { exit_code: tries < 3 ? 7 : 0 };
    });
    await run({ user: 'app', start_cmd: 'serve', ready_cmd: 'curl localhost' });
    const [prepare, start] = asked;
    t.match(prepare, { user: 'root', argv: ['/bin/sh', '-c', /chown "\$1"/, 'start', 'app'] });
    t.match(start, { argv: ['/bin/sh', '-c', /setsid/, 'start', 'serve'] });
    t.equal(start?.user, undefined, 'with the defaults of the sandbox');
    t.equal(tries, 3);
    t.same(said, ['start_cmd runs', 'ready_cmd succeeded at try 3']);
  },
);

t.test('a ready command that never succeeds is given up after five minutes', async (t) => {
  const { run, clock } = world(({ cmd }) =>
    cmd ? { exit_code: 1, stderr: `${'.'.repeat(5000)}the end` } : {},
  );
  const error = await run({ ready_cmd: 'false' }).then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (!hasCode(error, 'TEMPLATE_NOT_READY')) throw error;
  t.match(error.detail, /300 s, in \d+ tries/);
  const output = String(error.data?.output);
  t.equal(output.length, 2000);
  t.ok(output.endsWith('the end'));
  t.ok(clock.monotonicMs() < 310_000);
});

t.test('a start command that fails ends it at once, with what it printed', async (t) => {
  for (const ready of [undefined, 'false']) {
    const { run } = world((request) => {
      if (request.cmd) return { exit_code: 1 };
      return /tail -c/.test(scriptOf(request)) ? { exit_code: 127, stdout: 'serve: not found\n' } : {};
    });
    await t.rejects(run({ start_cmd: 'serve', ...(ready && { ready_cmd: ready }) }), {
      code: 'TEMPLATE_NOT_READY',
      detail: /start_cmd failed/,
      data: { exit_code: 127, output: 'serve: not found\n' },
    });
  }
});

t.test(
  'nothing is run when there is nothing to run, and nothing more for a caller who went away',
  async (t) => {
    const { run, asked, caller } = world(() => ({ exit_code: 1 }));
    await run({});
    t.same(asked, []);
    caller.abort(new DormouseError('CANCELLED', 'gone'));
    await t.rejects(run({ ready_cmd: 'false' }), { code: 'CANCELLED' });
    t.equal(asked.length, 1);
  },
);

t.test('that a sandbox does not boot is a failure of the template; what the host lacks is not', async (t) => {
  const silent = new DormouseError('GUEST_UNREACHABLE', 'It does not answer.');
  t.match(notReadyBecause('python', silent), {
    code: 'TEMPLATE_NOT_READY',
    data: { template: 'python', code: 'GUEST_UNREACHABLE' },
    cause: silent,
  });
  for (const code of ['TEMPLATE_NOT_READY', 'DISK_FULL', 'NO_HOST_AVAILABLE', 'INVALID_SIZE'] as const) {
    const own = new DormouseError(code, 'as it is');
    t.equal(notReadyBecause('python', own), own);
  }
  const bug = new TypeError('a bug');
  t.equal(notReadyBecause('python', bug), bug);
});
