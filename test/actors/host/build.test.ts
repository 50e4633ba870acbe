import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import t, { type Test } from 'tap';
import { Builder, type BuilderOptions } from '../../../src/actors/host/build.ts';
import { Captures } from '../../../src/actors/host/captures.ts';
import type { BuiltImage, ImageTools } from '../../../src/actors/host/image-tools.ts';
import { Once } from '../../../src/actors/host/once.ts';
import type { Template } from '../../../src/actors/host/template.ts';
import type { BuildTemplate } from '../../../src/actors/host/template-protocol.ts';
import { Uploads } from '../../../src/actors/host/uploads.ts';
import { DormouseError } from '../../../src/errors/index.ts';
import { newUploadId } from '../../../src/ids.ts';
import { quiet } from '../../support/quiet.ts';
import { sandboxInput } from '../sandbox/support.ts';
import { commandContext, fakeSandbox } from './fake-sandbox.ts';
import { image, OTHER_TEAM, snapshotFolder, TEAM, templateStore } from './template-folders.ts';

/** Two each of a team. */
const teamOf = (number: number): string => `00000000-0000-4000-8000-0000000000${10 + Math.floor(number / 2)}`;

/** A host that builds images by writing a few bytes, and boots a template by leaving a folder. */
async function world(t: Test, { imageSizeMb = 0 } = {}) {
  const store = await templateStore(t);
  const { paths, clock, templates } = store;
  const root = path.join(store.store, 'uploads');
  const lines: Array<{ stage: string; message?: string }> = [];
  const booted: Template[] = [];
  const hooks = {
    build: async (_: Parameters<ImageTools['build']>[0]): Promise<BuiltImage> => ({ leftOut: [] }),
    boot: async (_signal: AbortSignal): Promise<void> => {},
  };
  const uploads = new Uploads({ root, maxMb: 1, checkSpace: async () => {}, clock });
  const original = fakeSandbox(
    { ...sandboxInput({ defaults: { user: 'app', env: { FROM: 'sandbox' } } }) },
    {
      async onCommand(_, body) {
        const { dir } = body as { dir: string };
        await mkdir(dir);
        await writeFile(path.join(dir, 'disk'), 'its disk');
      },
    },
  );
  const options = {
    templates,
    uploads,
    captures: new Captures(paths.captures, { clock, log: quiet }),
    drivers: {
      checkSpace: async () => {},
      disk: { flatten: async (_: unknown, imagePath: string) => await image(32)(imagePath) },
    },
    images: {
      async build(wish: Parameters<ImageTools['build']>[0]) {
        t.equal(await readFile(wish.sourcePath, 'utf8'), 'a tar');
        await mkdir(wish.workDir);
        const built = await hooks.build(wish);
        await image(32)(wish.imagePath);
        return built;
      },
      shrink: async () => {},
      grow: async (imagePath: string, sizeMb: number) => {
        if (sizeMb > 0) await image(sizeMb)(imagePath);
      },
    },
    warm: {
      async make(template: Template, shape: object, { stage, signal }: never) {
        booted.push(template);
        (stage as (name: string) => void)('booting');
        await hooks.boot(signal);
        await templates.keepWarm(
          template,
          shape as never,
          await snapshotFolder(path.join(store.store, 'warm')),
        );
      },
    },
    sandboxes: {
      get: (id: string) => (id === original.sandbox.id ? Promise.resolve(original.sandbox) : undefined),
    },
    room: { keep: () => () => {} },
    once: new Once(),
    ports: { clock, log: quiet },
    imageSizeMb,
    output: (_: string, _stream: string, bytes: Uint8Array) =>
      void lines.push(JSON.parse(Buffer.from(bytes).toString())),
    // Only what is used of the drivers.
  } as unknown as BuilderOptions;
  const builder = new Builder(options);
  const upload = async (teamId = TEAM): Promise<string> => {
    const id = newUploadId();
    await uploads.append({
      upload_id: id,
      team_id: teamId,
      attempt: 'a',
      offset: 0,
      data: Buffer.from('a tar').toString('base64'),
    });
    return id;
  };
  const bodyOf = async (spec = {}, changes: Partial<BuildTemplate> = {}): Promise<BuildTemplate> => ({
    team_id: TEAM,
    spec: { name: 'python', ...spec },
    source: { upload_id: await upload(changes.team_id), format: 'auto' },
    overwrite: false,
    ...changes,
  });
  let commands = 0;
  const build = async (spec = {}, changes: Partial<BuildTemplate> = {}) => {
    commands += 1;
    return await builder.build(await bodyOf(spec, changes), commandContext({ commandId: `c-${commands}` }));
  };
  const left = async (): Promise<string[]> => [
    ...(await readdir(paths.captures).catch(() => [])),
    ...(await readdir(root).catch(() => [])),
    ...(await readdir(paths.templates)),
  ];
  return { ...store, options, builder, build, bodyOf, upload, hooks, lines, booted, left, original };
}

t.test('a template is offered when it has booted', async (t) => {
  const { build, hooks, templates, booted, left, lines } = await world(t);
  hooks.boot = async () => {
    t.same(await templates.describe(), [], 'not earlier');
  };
  const made = await build();
  t.match(made, {
    name: 'python',
    team_id: TEAM,
    kind: 'base',
    memory: false,
    size_mb: 32,
    vcpus: 1,
    memory_mb: 512,
    disk_size_mb: 20_480,
    warm: ['1x512x20480'],
    source_sandbox_id: null,
  });
  t.equal(booted.length, 1);
  t.match(await templates.describe(), [{ id: made.id, warm: made.warm }]);
  t.same(await left(), [made.id], 'the upload is gone');
  t.same(
    lines.map(({ stage }) => stage),
    ['expanding the file system', 'booting'],
  );
});

t.test('what was said is above what the image says of itself', async (t) => {
  const { build, hooks, lines } = await world(t);
  hooks.build = async () => ({
    leftOut: ['/dev/null: a device'],
    config: { user: 'app:staff', cwd: '/srv', env: { A: 'image', B: 'image' } },
  });
  const made = await build({ env: { A: 'said' }, vcpus: 2, start_cmd: 'serve', ready_cmd: 'look' });
  t.match(made, {
    user: null,
    cwd: '/srv',
    env: { A: 'said', B: 'image' },
    vcpus: 2,
    start_cmd: 'serve',
    ready_cmd: 'look',
    size_mb: 20_480,
  });
  t.ok(lines.some(({ message }) => message === 'left out: /dev/null: a device'));
});

t.test('variables that are too long together are refused, whoever sends them', async (t) => {
  const { build, left, booted } = await world(t);
  const env = { A: 'a'.repeat(2048), B: 'b'.repeat(2047) };
  await t.rejects(build({ env }), { code: 'INVALID_REQUEST', data: { field: 'env' } });
  t.equal(booted.length, 0);
  t.equal((await left()).length, 1, 'its upload stays, for a request that is right');
});

t.test('images are expanded as those of a host start are, and no default disk is smaller', async (t) => {
  const { build, left } = await world(t, { imageSizeMb: 30_000 });
  await t.rejects(build({ disk_size_mb: 29_999 }), {
    code: 'INVALID_SIZE',
    data: { disk_size_mb: 29_999, minimum_mb: 30_000 },
  });
  t.same(await left(), []);
  t.match(await build(), { size_mb: 30_000, disk_size_mb: 30_000 });
});

t.test('one that does not boot is none', async (t) => {
  const { build, hooks, left } = await world(t);
  hooks.boot = async () => {
    throw new DormouseError('GUEST_UNREACHABLE', 'The guest did not answer.');
  };
  await t.rejects(build(), {
    code: 'TEMPLATE_NOT_READY',
    detail: /"python".*did not answer/,
    data: { code: 'GUEST_UNREACHABLE' },
  });
  hooks.build = async () => {
    throw new DormouseError('TEMPLATE_INVALID', 'It is no archive.', { data: { reason: 'unknown' } });
  };
  await t.rejects(build(), { code: 'TEMPLATE_INVALID' });
  t.same(await left(), [], 'neither template, nor upload, nor what was unpacked');
});

t.test('a caller who goes away ends it', async (t) => {
  const { builder, bodyOf, hooks, left } = await world(t);
  const caller = new AbortController();
  hooks.boot = async (signal) => {
    caller.abort(new DormouseError('CANCELLED', 'gone'));
    signal.throwIfAborted();
  };
  await t.rejects(builder.build(await bodyOf(), commandContext({ signal: caller.signal })), {
    code: 'CANCELLED',
  });
  t.same(await left(), []);
});

t.test('a stop ends the build that runs and those that wait, and begins no other', async (t) => {
  const { builder, bodyOf, hooks, left } = await world(t);
  const running = Promise.withResolvers<void>();
  hooks.build = ({ signal }) =>
    new Promise((_, reject) => {
      signal.addEventListener('abort', () => reject(signal.reason), { once: true });
      running.resolve();
    });
  const [one, two, late] = await Promise.all(['one', 'two', 'late'].map((name) => bodyOf({ name })));
  const builds = [one, two].map((body, index) =>
    t.rejects(builder.build(body as BuildTemplate, commandContext({ commandId: `c-${index}` })), {
      code: 'HOST_DRAINING',
    }),
  );
  await running.promise;
  await builder.stop();
  await Promise.all(builds);
  await t.rejects(builder.build(late as BuildTemplate, commandContext({ commandId: 'late' })), {
    code: 'HOST_DRAINING',
  });
  t.same(await left(), []);
});

t.test('builds run one after the other, and not too many wait', async (t) => {
  const { builder, build, bodyOf, hooks, templates } = await world(t);
  const go = Promise.withResolvers<void>();
  let running = 0;
  let most = 0;
  hooks.build = async () => {
    running += 1;
    most = Math.max(most, running);
    await go.promise;
    running -= 1;
    return { leftOut: [] };
  };
  const bodies = await Promise.all(
    Array.from({ length: 9 }, (_, number) => bodyOf({ name: `t${number}` }, { team_id: teamOf(number) })),
  );
  const builds = bodies.map((body) => builder.build(body, commandContext({ commandId: body.spec.name })));
  await t.rejects(build({ name: 'late' }), { code: 'RATE_LIMITED', detail: /8 builds wait on this host/ });
  go.resolve();
  await Promise.all(builds);
  t.equal(most, 1);
  t.equal((await templates.describe()).length, 9);
  t.match(await build({ name: 'late' }), { name: 'late' }, 'there is room again');
});

t.test('of one team two wait, and whoever goes away makes room', async (t) => {
  const { builder, bodyOf, hooks, left, templates } = await world(t);
  const go = Promise.withResolvers<void>();
  hooks.build = async () => {
    await go.promise;
    return { leftOut: [] };
  };
  const begin = async (name: string, changes = {}, signal = new AbortController().signal) => {
    const body = await bodyOf({ name }, changes);
    const built = builder.build(body, commandContext({ commandId: name, signal }));
    built.catch(() => {});
    return { built };
  };
  const caller = new AbortController();
  const { built: runs } = await begin('runs');
  const { built: leaves } = await begin('leaves', {}, caller.signal);
  const { built: waits } = await begin('waits');
  await t.rejects((await begin('late')).built, { code: 'RATE_LIMITED', detail: /2 builds of your team/ });
  const { built: others } = await begin('others', { team_id: OTHER_TEAM });
  caller.abort(new DormouseError('CANCELLED', 'gone'));
  await t.rejects(leaves, { code: 'CANCELLED' }, 'it does not wait for its turn');
  const { built: instead } = await begin('instead');
  go.resolve();
  await Promise.all([runs, waits, others, instead]);
  t.same((await templates.describe()).map(({ name }) => name).sort(), ['instead', 'others', 'runs', 'waits']);
  t.equal((await left()).length, 4, 'and no upload');
});

t.test('what is sent for an upload while its build waits changes nothing', async (t) => {
  const { builder, bodyOf, hooks, options } = await world(t);
  const go = Promise.withResolvers<void>();
  hooks.build = async () => {
    await go.promise;
    return { leftOut: [] };
  };
  const first = builder.build(await bodyOf({ name: 'first' }), commandContext({ commandId: 'first' }));
  const body = await bodyOf({ name: 'second' });
  const second = builder.build(body, commandContext({ commandId: 'second' }));
  const { upload_id } = body.source as { upload_id: string };
  const data = Buffer.from('another file').toString('base64');
  const uploads = options.uploads as Uploads;
  await uploads.append({ upload_id, team_id: TEAM, attempt: 'b', offset: 0, data });
  go.resolve();
  // What is built from is looked at in the build.
  t.match(await Promise.all([first, second]), [{ name: 'first' }, { name: 'second' }]);
});

t.test('a command that comes again waits for the build, or gets its outcome', async (t) => {
  const { builder, bodyOf, booted } = await world(t);
  const body = await bodyOf();
  const both = await Promise.all([
    builder.build(body, commandContext()),
    builder.build(body, commandContext()),
  ]);
  t.same(both[0], both[1]);
  t.same(await builder.build(body, commandContext()), both[0]);
  t.equal(booted.length, 1);
});

t.test('a template of that name stays, unless it is to be overwritten', async (t) => {
  const { build, left } = await world(t);
  const first = await build();
  await t.rejects(build(), { code: 'TEMPLATE_EXISTS' });
  t.same(await left(), [first.id], 'the second upload is gone');
  const second = await build({}, { overwrite: true });
  t.same(await left(), [second.id]);
});

t.test('it is built from the disk of a sandbox of the team', async (t) => {
  const { build, original, left } = await world(t);
  const source = { sandbox_id: original.sandbox.id, team_id: TEAM };
  const made = await build({ cwd: '/srv' }, { source });
  t.match(made, {
    kind: 'base',
    source_sandbox_id: original.sandbox.id,
    user: 'app',
    cwd: '/srv',
    env: { FROM: 'sandbox' },
  });
  await t.rejects(build({ name: 'stolen' }, { source: { ...source, team_id: OTHER_TEAM } }), {
    code: 'SANDBOX_NOT_FOUND',
  });
  await t.rejects(build({ name: 'gone' }, { source: { upload_id: newUploadId(), format: 'tar' } }), {
    code: 'UPLOAD_BROKEN',
  });
  t.equal((await left()).filter((name) => name.startsWith('t-')).length, 1);
});
