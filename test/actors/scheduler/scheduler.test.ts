import t from 'tap';
import type { SandboxView } from '../../../src/actors/sandbox/protocol.ts';
import type { ScheduleSandbox } from '../../../src/actors/scheduler/protocol.ts';
import { catalogue, DormouseError, type ErrorCode } from '../../../src/errors/index.ts';
import { DEFAULT_TEAM_ID, sandboxIdForKey } from '../../../src/ids.ts';
import { exampleTemplate } from '../../support/templates.ts';
import { hostInfo } from '../host/hosts.ts';
import { context, startWorld, type WorldOptions } from './world.ts';

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

t.test('the record is written before the host is asked, and the host makes the sandbox', async (t) => {
  const { scheduler, claims, asked, unclaimed } = startWorld(t);
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
  const { scheduler } = startWorld(t);
  const [one, two] = [await scheduler.create(request(), context), await scheduler.create(request(), context)];
  t.not(one.id, two.id);
});

t.test('no host, or none that is ready', async (t) => {
  for (const hosts of [[], [hostInfo({ state: 'draining' })]]) {
    const { scheduler, claims } = startWorld(t, { hosts });
    await t.rejects(scheduler.create(request(), context), { code: 'NO_HOST_AVAILABLE' });
    t.equal(claims.size, 0, 'nothing is claimed');
  }
});

t.test('with a key: the same request again, also to another scheduler, is the same sandbox', async (t) => {
  const { scheduler, asked, claims } = startWorld(t);
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
  const { scheduler, claims } = startWorld(t);
  await scheduler.create(request({ idempotency_key: 'k' }), context);
  await scheduler.create(
    request({ idempotency_key: 'k', team_id: '00000000-0000-4000-8000-000000000002' }),
    context,
  );
  t.equal(claims.size, 2);
});

t.test('the same key with another request is refused, in whatever order its fields come', async (t) => {
  const { scheduler } = startWorld(t);
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
  const { scheduler, claims } = startWorld(t);
  const { options } = request();
  await scheduler.create(request({ idempotency_key: 'k' }), context);
  await scheduler.create(request({ idempotency_key: 'k', options: { ...options, metadata: {} } }), context);
  t.equal(claims.size, 1);
});

t.test('a create that failed is answered with its failure again, not done again', async (t) => {
  const { scheduler, claims, asked } = startWorld(t);
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
    const { scheduler, asked, claims } = startWorld(t, { hosts: three, answers: { 'h-a': code } });
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
    ['TEMPLATE_NOT_READY', true],
    ['INVALID_SIZE', true],
    ['DISK_FULL', true],
    ['DEADLINE_EXCEEDED', false],
    ['STEP_FAILED', false],
    ['BUS_UNAVAILABLE', false],
    ['GUEST_UNREACHABLE', false],
    ['INTERNAL', false],
    ['BAD_REPLY', false],
  ] as const) {
    const { scheduler, claims, unclaimed } = startWorld(t, { answers: { 'h-a': code } });
    await t.rejects(scheduler.create(request(), context), { code });
    t.equal(unclaimed.length, back ? 1 : 0, code);
    t.equal(claims.size, back ? 0 : 1, code);
  }
});

t.test('a host that stops in the middle of a create is asked again, and no other', async (t) => {
  const begun = new DormouseError('HOST_DRAINING', 'let go', { data: { begun: true } });
  const { scheduler, asked, claims } = startWorld(t, { hosts: three, answers: { 'h-a': begun } });
  await t.rejects(scheduler.create(request(), context), begun);
  t.same(
    asked.map(({ host }) => host),
    ['h-a'],
  );
  t.equal(claims.size, 1, 'its host goes on with it');
});

t.test('a create that was given up: its claim is taken back when the host does not keep it', async (t) => {
  const cases: Array<[WorldOptions['kept'], Partial<ScheduleSandbox>, number]> = [
    [0, {}, 0],
    [1, {}, 1],
    // Whether it had begun is not known, so the record stays until it is.
    ['HOST_UNREACHABLE', {}, 1],
    // Whoever has the key may ask again, and gets this one.
    [0, { idempotency_key: 'k' }, 1],
  ];
  for (const [kept, changes, left] of cases) {
    const { scheduler, claims } = startWorld(t, { answers: { 'h-a': 'CANCELLED' }, kept });
    await t.rejects(scheduler.create(request(changes), context), { code: 'CANCELLED', detail: /h-a/ });
    t.equal(claims.size, left, `${kept} ${JSON.stringify(changes)}`);
  }
});

t.test('when every host refuses, each was asked once and the last answer counts', async (t) => {
  const { scheduler, asked, claims } = startWorld(t, {
    hosts: three,
    answers: { 'h-a': 'HOST_UNREACHABLE', 'h-b': 'HOST_DRAINING', 'h-c': 'NO_HOST_AVAILABLE' },
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
  const { scheduler, asked, unclaimed } = startWorld(t, { hosts: three, answers });
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

t.test('a create that comes again while its failure is undone waits for why it failed', async (t) => {
  const states: Array<SandboxView['state']> = ['undoing', 'undoing', 'failed'];
  let claims = 0;
  const { scheduler, clock, asked } = startWorld(t, {
    ports: {
      claim: async ({ view }) => {
        const state = states[Math.min(claims, states.length - 1)] ?? 'failed';
        claims += 1;
        const last_error = { code: 'GUEST_UNREACHABLE', detail: 'The guest did not answer.' };
        return { created: false, view: { ...view, state, last_error } };
      },
    },
  });
  const answered = t.rejects(scheduler.create(request({ idempotency_key: 'again' }), context), {
    code: 'GUEST_UNREACHABLE',
  });
  for (let turn = 0; turn < 10; turn += 1) {
    await new Promise(setImmediate);
    clock.advance(200);
  }
  await answered;
  t.equal(claims, 3);
  t.same(asked, []);
});

t.test("what is left out is the template's, and what is sent wins", async (t) => {
  const template = exampleTemplate({ name: 'python', vcpus: 2, memory_mb: 2_048, disk_size_mb: 30_000 });
  const { scheduler, asked, claims } = startWorld(t, { hosts: [hostInfo({ templates: [template] })] });
  const create = (options: ScheduleSandbox['options']) => scheduler.create(request({ options }), context);
  const filled = {
    template: 'python',
    vcpus: 2,
    memory_mb: 2_048,
    disk_size_mb: 30_000,
    timeout_s: 0,
    on_timeout: 'pause',
    auto_resume: false,
    metadata: {},
  };
  const { id } = await create({ template: 'python' });
  t.same(asked[0]?.body.options, filled);
  t.match(claims.get(id)?.view, filled, 'and it is counted as that');
  await create({
    template: 'python',
    vcpus: 1,
    disk_size_mb: 40_000,
    auto_resume: true,
    metadata: { a: 'b' },
  });
  t.same(asked[1]?.body.options, {
    ...filled,
    vcpus: 1,
    disk_size_mb: 40_000,
    auto_resume: true,
    metadata: { a: 'b' },
  });
});

t.test('a request that comes again is the same when the template has other defaults now', async (t) => {
  const hosts = [hostInfo()];
  const { scheduler, asked, claims } = startWorld(t, { hosts });
  const wanted = request({ options: {}, idempotency_key: 'k' });
  const { id } = await scheduler.create(wanted, context);
  hosts[0] = hostInfo({ templates: [exampleTemplate({ vcpus: 8, memory_mb: 4_096 })] });
  t.equal((await scheduler.create(wanted, context)).id, id);
  t.equal(asked.length, 2);
  t.same(asked[1]?.body, asked[0]?.body, 'its host is asked for what was recorded');
  await t.rejects(scheduler.create({ ...wanted, options: { vcpus: 1 } }, context), {
    code: 'IDEMPOTENCY_KEY_REUSED',
  });
  t.equal(claims.size, 1);
});

t.test('a request that comes again is answered when nobody could make it any more', async (t) => {
  const hosts = [hostInfo()];
  const { scheduler, claims, record, asked } = startWorld(t, { hosts });
  const wanted = request({ idempotency_key: 'k' });
  const made = await scheduler.create(wanted, context);
  record({ ...made, state: 'paused' });
  for (const now of [[], [hostInfo({ templates: [] })], [hostInfo({ state: 'draining' })]]) {
    hosts.splice(0, 1, ...now);
    t.match(await scheduler.create(wanted, context), { id: made.id, state: 'paused' });
    await t.rejects(scheduler.create(request({ idempotency_key: 'another' }), context), {
      code: /NO_HOST_AVAILABLE|TEMPLATE_NOT_FOUND/,
    });
    hosts.length = 0;
  }
  await t.rejects(scheduler.create({ ...wanted, options: { vcpus: 7 } }, context), {
    code: 'IDEMPOTENCY_KEY_REUSED',
  });
  t.equal(claims.size, 1);
  t.equal(asked.length, 1);
});

t.test('a quota that is used up is said as it is, and no host is asked', async (t) => {
  const { scheduler, asked, claims } = startWorld(t, { hosts: three, quota: 0 });
  await t.rejects(scheduler.create(request(), context), { code: 'QUOTA_EXCEEDED' });
  t.same(asked, []);
  t.equal(claims.size, 0);
});

t.test('each host that is tried gets what its own template says', async (t) => {
  const hosts = ['h-a', 'h-b'].map((host_id, index) =>
    hostInfo({ host_id, templates: [exampleTemplate({ memory_mb: 512 + index })] }),
  );
  const { scheduler, asked } = startWorld(t, { hosts, answers: { 'h-a': 'NO_HOST_AVAILABLE' } });
  await scheduler.create(request({ options: {} }), context);
  t.same(
    asked.map(({ host, body }) => [host, body.options.memory_mb]),
    [
      ['h-a', 512],
      ['h-b', 513],
    ],
  );
});
