import t from 'tap';
import { DormouseError } from '../../../src/errors/index.ts';
import { DEFAULT_TEAM_ID, PLATFORM_TEAM_ID } from '../../../src/ids.ts';
import { exampleTemplate } from '../../support/templates.ts';
import { hostInfo } from '../host/hosts.ts';
import { context, startWorld } from './world.ts';

const request = { team_id: DEFAULT_TEAM_ID, options: { template: 'python' } };
const python = exampleTemplate({ name: 'python', team_id: DEFAULT_TEAM_ID });

t.test('a template that nobody has: the error names those that there are', async (t) => {
  const secret = exampleTemplate({ name: 'secret', team_id: '00000000-0000-4000-8000-000000000002' });
  const own = exampleTemplate({ name: 'own', team_id: DEFAULT_TEAM_ID });
  const { scheduler, claims, asked } = startWorld(t, {
    hosts: [hostInfo({ templates: [exampleTemplate(), own, secret] }), hostInfo({ host_id: 'h-b' })],
  });
  await t.rejects(scheduler.create(request, context), {
    code: 'TEMPLATE_NOT_FOUND',
    detail: 'There is no template "python". There are: minimal, own.',
    data: { template: 'python' },
  });
  t.equal(claims.size, 0);
  t.same(asked, []);
  const none = startWorld(t, { hosts: [hostInfo({ templates: [] })] });
  await t.rejects(none.scheduler.create(request, context), {
    code: 'TEMPLATE_NOT_FOUND',
    detail: /There are: none/,
  });
});

t.test('hosts that have it and are not ready', async (t) => {
  for (const state of ['starting', 'draining', 'stopped'] as const) {
    const { scheduler, informed } = startWorld(t, {
      hosts: [hostInfo({ state, templates: [python] }), hostInfo({ host_id: 'h-b' })],
    });
    await t.rejects(scheduler.create(request, context), {
      code: 'NO_HOST_AVAILABLE',
      detail: new RegExp(`"python" is ready: h-a is ${state}`),
    });
    t.same(informed, []);
  }
});

t.test('no host at all', async (t) => {
  const { scheduler } = startWorld(t, { hosts: [] });
  await t.rejects(scheduler.create(request, context), { code: 'NO_HOST_AVAILABLE' });
});

t.test('a template that was built a moment ago, of which the directory has not heard', async (t) => {
  const hosts = [hostInfo(), hostInfo({ host_id: 'h-b' }), hostInfo({ host_id: 'h-c' })];
  const { scheduler, asked, informed } = startWorld(t, {
    hosts,
    now: {
      'h-a': 'HOST_UNREACHABLE',
      'h-b': hostInfo({ host_id: 'h-b', templates: [python] }),
      'h-c': 'DEADLINE_EXCEEDED',
    },
  });
  t.match(await scheduler.create(request, context), { host_id: 'h-b', state: 'running' });
  t.same(informed, ['h-a', 'h-b', 'h-c']);
  t.equal(asked.length, 1);
  await scheduler.create({ ...request, options: {} }, context);
  t.equal(informed.length, 3, 'nobody is asked when the directory knows');
});

t.test('hosts are asked for a while only, and with the signal of the caller', async (t) => {
  const deadlines: number[] = [];
  const { scheduler, clock } = startWorld(t, {
    ports: {
      hostInfo: async (_, { deadlineMs, signal }) => {
        t.equal(signal, context.signal);
        deadlines.push(deadlineMs);
        throw new DormouseError('DEADLINE_EXCEEDED', 'It is silent.');
      },
    },
  });
  // It may be the one that has made the template a moment ago.
  const silent = { code: 'NO_HOST_AVAILABLE', detail: /h-a did not answer/ };
  await t.rejects(scheduler.create(request, context), silent);
  await t.rejects(scheduler.create(request, { ...context, deadlineMs: clock.nowMs() + 5 }), silent);
  t.same(deadlines, [clock.nowMs() + 2_000, clock.nowMs() + 5]);
});

t.test('what else goes wrong when hosts are asked is not taken for an answer', async (t) => {
  const { scheduler } = startWorld(t, { now: { 'h-a': 'BUS_UNAVAILABLE' } });
  await t.rejects(scheduler.create(request, context), { code: 'BUS_UNAVAILABLE' });
});

t.test('a template whose host is away', async (t) => {
  const away = startWorld(t, { templateHost: 'h-away' });
  await t.rejects(away.scheduler.create(request, context), {
    code: 'NO_HOST_AVAILABLE',
    detail: /"python" is kept by the host h-away/,
  });
  const there = startWorld(t, { templateHost: 'h-a' });
  await t.rejects(
    there.scheduler.create(request, context),
    { code: 'TEMPLATE_NOT_FOUND' },
    'its host is there and has it no more',
  );
});

t.test("the platform's, when the team's has gone", async (t) => {
  const { scheduler, asked } = startWorld(t, {
    hosts: [
      hostInfo({ templates: [exampleTemplate({ name: 'python', team_id: PLATFORM_TEAM_ID, vcpus: 3 })] }),
    ],
  });
  await scheduler.create(request, context);
  t.equal(asked[0]?.body.options.vcpus, 3);
});
