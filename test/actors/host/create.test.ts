import path from 'node:path';
import t, { type Test } from 'tap';
import { Room } from '../../../src/actors/host/capacity.ts';
import { type CreateParts, createSandbox } from '../../../src/actors/host/create.ts';
import type { Shape, Template } from '../../../src/actors/host/template.ts';
import type { SandboxInput } from '../../../src/actors/sandbox/context.ts';
import type { Sandbox } from '../../../src/actors/sandbox/sandbox.ts';
import { DormouseError } from '../../../src/errors/index.ts';
import { newSandboxId } from '../../../src/ids.ts';
import { fakeClock } from '../../support/fake-clock.ts';
import { quiet } from '../../support/quiet.ts';
import { sandboxInput } from '../sandbox/support.ts';
import { commandContext, fakeSandbox } from './fake-sandbox.ts';
import { makeTemplate, snapshotFolder, TEAM, templateStore } from './template-folders.ts';

const KERNEL = { kernelPath: '/new/kernel', initrdPath: '/new/initrd' };

async function world(t: Test) {
  const store = await templateStore(t);
  const { templates } = store;
  const there = new Map<string, Sandbox>();
  const inputs: SandboxInput[] = [];
  const wanted: Shape[] = [];
  const hooks = {
    created: async (): Promise<void> => {},
    checkSpace: async (): Promise<void> => {},
    make: async (template: Template, shape: Shape): Promise<void> =>
      await templates.keepWarm(
        template,
        shape,
        await snapshotFolder(path.join(store.store, 'saved'), { disk_size_mb: 1024 }),
      ),
    accepting: true,
  };
  const parts = {
    sandboxes: {
      get: (id: string) => (there.has(id) ? Promise.resolve(there.get(id)) : undefined),
      checkNew: () => {},
      async create(input: SandboxInput) {
        inputs.push(input);
        const created = hooks.created();
        created.catch(() => {});
        const { sandbox } = fakeSandbox({ ...input }, { created });
        there.set(input.id, sandbox);
        return sandbox;
      },
    },
    templates,
    warm: {
      make: (template: Template, shape: Shape) => hooks.make(template, shape),
      want: async (_: Template, shape: Shape) => void wanted.push(shape),
    },
    drivers: { checkSpace: () => hooks.checkSpace() },
    room: new Room({ vcpus: 8, memoryMb: 4096 }, () => ({ vcpus: 0, memory_mb: 0, sandboxes: 0 })),
    kernel: KERNEL,
    ports: { clock: fakeClock(), log: quiet },
    hostId: 'h-test',
    checkAccepting() {
      if (!hooks.accepting) throw new DormouseError('HOST_DRAINING', 'draining');
    },
    // Only what a create touches.
  } as unknown as CreateParts;
  const create = (wish = {}, { id = newSandboxId(), signal = new AbortController().signal } = {}) =>
    createSandbox(
      {
        sandbox_id: id,
        team_id: TEAM,
        command_id: `create-${id}`,
        options: sandboxInput({}, { template: 'python', memory_mb: 512, ...wish }).options,
      },
      commandContext({ signal }),
      parts,
    );
  return { ...store, parts, inputs, wanted, hooks, there, create };
}

t.test('a sandbox gets the defaults of its template, and a booted state is made for the next', async (t) => {
  const { create, templates, inputs, wanted } = await world(t);
  await makeTemplate(templates, { user: 'app', env: { A: '1' } });
  await create();
  t.match(inputs, [
    {
      teamId: TEAM,
      source: { kind: 'image' },
      kernel: KERNEL,
      defaults: { user: 'app', env: { A: '1' } },
    },
  ]);
  t.same(wanted, [{ vcpus: 1, memoryMb: 512 }]);
});

t.test('of a template with a start command it is always a clone of one in which it runs', async (t) => {
  const { create, templates, inputs, wanted, hooks } = await world(t);
  await makeTemplate(templates, { start_cmd: 'serve', disk_size_mb: 1024 });
  await create();
  t.match(inputs, [{ source: { kind: 'snapshot' }, kernel: { kernelPath: '/k' } }]);
  t.same(wanted, []);
  hooks.make = () => Promise.reject(new DormouseError('GUEST_UNREACHABLE', 'It does not answer.'));
  await t.rejects(create({ memory_mb: 256 }), { code: 'TEMPLATE_NOT_READY' });
  hooks.make = () => new Promise(() => {});
  const caller = new AbortController();
  const waiting = create({ memory_mb: 256 }, { signal: caller.signal });
  setImmediate(() => caller.abort(new DormouseError('CANCELLED', 'gone')));
  await t.rejects(waiting, { code: 'CANCELLED' });
  t.equal(inputs.length, 1, 'and it is never booted');
});

t.test('a template stays as long as a sandbox is being made from it', async (t) => {
  const { create, templates, hooks } = await world(t);
  await makeTemplate(templates);
  const measured = Promise.withResolvers<void>();
  hooks.checkSpace = () => measured.promise;
  const early = create();
  await t.rejects(templates.remove(TEAM, 'python'), { code: 'TEMPLATE_IN_USE' }, 'from the first moment on');
  measured.resolve();
  await early;
  const go = Promise.withResolvers<void>();
  hooks.created = () => go.promise;
  const id = newSandboxId();
  const created = create({}, { id });
  await new Promise((resolve) => setImmediate(resolve));
  await t.rejects(templates.remove(TEAM, 'python'), { code: 'TEMPLATE_IN_USE', data: { users: [id] } });
  go.resolve();
  await created;
  t.match(await templates.remove(TEAM, 'python'), { name: 'python' });
});

t.test('what is refused takes no room', async (t) => {
  const { create, templates, hooks, parts } = await world(t);
  await makeTemplate(templates);
  await t.rejects(create({ template: 'none' }), { code: 'TEMPLATE_NOT_FOUND' });
  await t.rejects(create({ disk_size_mb: 63 }), {
    code: 'INVALID_SIZE',
    data: { disk_size_mb: 63, minimum_mb: 64 },
  });
  hooks.created = () => Promise.reject(new DormouseError('VMM_FAILED', 'no'));
  await t.rejects(create(), { code: 'VMM_FAILED' });
  hooks.accepting = false;
  await t.rejects(create(), { code: 'HOST_DRAINING' });
  // All of it is free.
  parts.room.keep({ vcpus: 8, memory_mb: 4096 })();
});
