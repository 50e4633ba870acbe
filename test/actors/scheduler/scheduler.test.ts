import t from 'tap';
import { Value } from 'typebox/value';
import { CreateSandbox, type HostInfo } from '../../../src/actors/host/protocol.ts';
import { SandboxView } from '../../../src/actors/sandbox/protocol.ts';
import type { ScheduleSandbox } from '../../../src/actors/scheduler/protocol.ts';
import { Scheduler } from '../../../src/actors/scheduler/scheduler.ts';
import type { CommandContext } from '../../../src/actors/system/command.ts';
import { catalogue, DormouseError, type ErrorCode } from '../../../src/errors/index.ts';
import { DEFAULT_TEAM_ID, sandboxIdForKey } from '../../../src/ids.ts';
import { fakeClock } from '../../support/fake-clock.ts';
import { quiet } from '../../support/quiet.ts';
import { hostInfo } from '../host/hosts.ts';

const context: CommandContext = {
  commandId: 'of the caller',
  deadlineMs: 2_000_000,
  signal: new AbortController().signal,
};
const request = (changes: Partial<ScheduleSandbox> = {}): ScheduleSandbox => ({
  team_id: DEFAULT_TEAM_ID,
  options: {
    template: 'minimal',
    vcpus: 1,
    memory_mb: 512,
    disk_size_mb: 20_480,
    timeout_s: 0,
    on_timeout: 'pause',
    auto_resume: false,
  },
  ...changes,
});

/** Records and hosts of the test's own. What a host answers is in `answers`: an error code, or nothing for success. */
function world(hosts: HostInfo[] = [hostInfo()], answers: Record<string, ErrorCode> = {}) {
  const claims = new Map<string, { view: SandboxView; requestHash: string }>();
  const asked: Array<{ host: string; body: CreateSandbox }> = [];
  const unclaimed: string[] = [];
  const scheduler = new Scheduler({
    clock: fakeClock(),
    log: quiet,
    hosts: async () => hosts,
    async createOn(host, body, own) {
      t.equal(own, context, "the caller's deadline and signal go with it");
      t.ok(Value.Check(CreateSandbox, body), 'the host gets what its schema says');
      asked.push({ host, body });
      const code = answers[host];
      if (code) throw new DormouseError(code, `${host} says ${code}`);
      const claim = claims.get(body.sandbox_id);
      if (!claim) throw new Error('a host was asked before the record was written');
      return { ...claim.view, host_id: host, state: 'running', seq: 5 };
    },
    async claim({ view, requestHash, idempotencyKey }) {
      t.ok(Value.Check(SandboxView, view), 'the record gets what its schema says');
      const there = claims.get(view.id);
      if (there && there.requestHash !== requestHash)
        throw new DormouseError('IDEMPOTENCY_KEY_REUSED', `the key ${idempotencyKey}`);
      if (there) return { created: false, view: there.view };
      claims.set(view.id, { view, requestHash });
      return { created: true, view };
    },
    async unclaim(id) {
      unclaimed.push(id);
      claims.delete(id);
    },
  });
  return { scheduler, claims, asked, unclaimed };
}

t.test('the record is written before the host is asked, and the host makes the sandbox', async (t) => {
  const { scheduler, claims, asked, unclaimed } = world();
  const view = await scheduler.create(request(), context);
  t.match(view, { state: 'running', host_id: 'h-a', team_id: DEFAULT_TEAM_ID });
  t.match(claims.get(view.id)?.view, {
    state: 'creating',
    host_id: 'h-a',
    metadata: {},
    seq: 0,
    execution: 1,
  });
  t.equal(asked.length, 1);
  t.same(unclaimed, []);
});

t.test('without a key each request is another sandbox', async (t) => {
  const { scheduler } = world();
  const [one, two] = [await scheduler.create(request(), context), await scheduler.create(request(), context)];
  t.not(one.id, two.id);
});

t.test('no host, or none that is ready', async (t) => {
  for (const hosts of [[], [hostInfo({ state: 'draining' })]]) {
    const { scheduler, claims } = world(hosts);
    await t.rejects(scheduler.create(request(), context), { code: 'NO_HOST_AVAILABLE' });
    t.equal(claims.size, 0, 'nothing is claimed');
  }
});

t.test('with a key: the same request again, also to another scheduler, is the same sandbox', async (t) => {
  const { scheduler, asked, claims } = world();
  const wanted = request({ idempotency_key: 'order-1' });
  const first = await scheduler.create(wanted, context);
  t.equal(first.id, sandboxIdForKey(DEFAULT_TEAM_ID, 'order-1'));
  const second = await scheduler.create(wanted, context);
  t.equal(second.id, first.id);
  t.equal(claims.size, 1);
  t.equal(
    asked.length,
    2,
    'its record still says creating: the host is asked, and answers for the one that is there',
  );
  t.equal(asked[0]?.body.command_id, asked[1]?.body.command_id, 'as the same command');
  const claim = claims.get(first.id);
  if (claim) claim.view = { ...claim.view, state: 'paused' };
  t.equal((await scheduler.create(wanted, context)).state, 'paused', 'later the record is the answer');
  t.equal(asked.length, 2);
});

t.test('the key of another team is another sandbox', async (t) => {
  const { scheduler, claims } = world();
  await scheduler.create(request({ idempotency_key: 'k' }), context);
  await scheduler.create(
    request({ idempotency_key: 'k', team_id: '00000000-0000-4000-8000-000000000002' }),
    context,
  );
  t.equal(claims.size, 2);
});

t.test('the same key with another request is refused, in whatever order its fields come', async (t) => {
  const { scheduler } = world();
  const { options } = request();
  const wanted = request({ idempotency_key: 'k', options: { ...options, metadata: { a: '1', b: '2' } } });
  await scheduler.create(wanted, context);
  const reversed = Object.fromEntries(Object.entries(options).reverse()) as typeof options;
  await scheduler.create({ ...wanted, options: { ...reversed, metadata: { b: '2', a: '1' } } }, context);
  const others: Array<Partial<typeof options>> = [
    { vcpus: 2 },
    { metadata: { a: '1' } },
    { metadata: { a: '1', b: '3' } },
    { metadata: {} },
  ];
  for (const other of others)
    await t.rejects(
      scheduler.create({ ...wanted, options: { ...wanted.options, ...other } }, context),
      { code: 'IDEMPOTENCY_KEY_REUSED' },
      JSON.stringify(other),
    );
});

t.test('no metadata and empty metadata are the same request', async (t) => {
  const { scheduler, claims } = world();
  const { options } = request();
  await scheduler.create(request({ idempotency_key: 'k' }), context);
  await scheduler.create(request({ idempotency_key: 'k', options: { ...options, metadata: {} } }), context);
  t.equal(claims.size, 1);
});

t.test('a create that failed is answered with its failure again, not done again', async (t) => {
  const { scheduler, claims, asked } = world();
  const wanted = request({ idempotency_key: 'k' });
  const { id } = await scheduler.create(wanted, context);
  const claim = claims.get(id);
  for (const [last_error, code] of [
    [{ code: 'GUEST_UNREACHABLE', detail: 'The guest was silent.' }, 'GUEST_UNREACHABLE'],
    [{ code: 'FROM_THE_FUTURE', detail: 'x' }, 'INTERNAL'],
    [null, 'STEP_FAILED'],
  ] as const) {
    if (claim) claim.view = { ...claim.view, state: 'failed', last_error };
    await t.rejects(scheduler.create(wanted, context), {
      code,
      detail: last_error?.detail ?? /failed/,
      data: { sandbox_id: id },
    });
  }
  t.equal(asked.length, 1);
});

const three = ['h-a', 'h-b', 'h-c'].map((host_id, index) =>
  hostInfo({ host_id, used: { vcpus: 0, memory_mb: index, sandboxes: 0 } }),
);

t.test('another host is tried exactly when the one before certainly did nothing', async (t) => {
  const next: ErrorCode[] = ['HOST_UNREACHABLE', 'NO_HOST_AVAILABLE', 'HOST_DRAINING'];
  for (const code of Object.keys(catalogue) as ErrorCode[]) {
    const { scheduler, asked, claims } = world(three, { 'h-a': code });
    const outcome = await scheduler.create(request(), context).catch((error: unknown) => error);
    const hosts = asked.map(({ host }) => host);
    if (next.includes(code)) {
      t.same(hosts, ['h-a', 'h-b'], code);
      t.match(outcome, { state: 'running', host_id: 'h-b' }, code);
      const [claim] = claims.values();
      t.match(claim?.view, { host_id: 'h-b' }, 'the record names the host that has it');
    } else {
      t.same(hosts, ['h-a'], code);
      t.match(outcome, { code, detail: `h-a says ${code}` }, `${code} is passed on as it is`);
    }
    t.equal(new Set(asked.map(({ body }) => `${body.sandbox_id} ${body.command_id}`)).size, 1);
  }
});

t.test('the claim is taken back when no host ever began, and kept when one may have', async (t) => {
  for (const [code, back] of [
    ['HOST_UNREACHABLE', true],
    ['NO_HOST_AVAILABLE', true],
    ['TEMPLATE_NOT_FOUND', true],
    ['INVALID_SIZE', true],
    ['DISK_FULL', true],
    ['DEADLINE_EXCEEDED', false],
    ['CANCELLED', false],
    ['STEP_FAILED', false],
    ['BUS_UNAVAILABLE', false],
    ['GUEST_UNREACHABLE', false],
    ['INTERNAL', false],
    ['BAD_REPLY', false],
  ] as const) {
    const { scheduler, claims, unclaimed } = world([hostInfo()], { 'h-a': code });
    await t.rejects(scheduler.create(request(), context), { code });
    t.equal(unclaimed.length, back ? 1 : 0, code);
    t.equal(claims.size, back ? 0 : 1, code);
  }
});

t.test('when every host refuses, each was asked once and the last answer counts', async (t) => {
  const { scheduler, asked, claims } = world(three, {
    'h-a': 'HOST_UNREACHABLE',
    'h-b': 'HOST_DRAINING',
    'h-c': 'NO_HOST_AVAILABLE',
  });
  await t.rejects(scheduler.create(request(), context), { code: 'NO_HOST_AVAILABLE', detail: /h-c/ });
  t.same(
    asked.map(({ host }) => host),
    ['h-a', 'h-b', 'h-c'],
  );
  t.equal(claims.size, 0, 'nothing is claimed in the end');
});

t.test('a repeated create whose host does not answer is not made elsewhere', async (t) => {
  const answers: Record<string, ErrorCode> = {};
  const { scheduler, asked, unclaimed } = world(three, answers);
  const wanted = request({ idempotency_key: 'k' });
  await scheduler.create(wanted, context);
  answers['h-a'] = 'HOST_UNREACHABLE';
  await t.rejects(scheduler.create(wanted, context), { code: 'HOST_UNREACHABLE' });
  t.same(
    asked.map(({ host }) => host),
    ['h-a', 'h-a'],
    'it may run there',
  );
  t.same(unclaimed, []);
});
