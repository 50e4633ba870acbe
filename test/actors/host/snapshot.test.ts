import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import t, { type Test } from 'tap';
import { Captures } from '../../../src/actors/host/captures.ts';
import { Once } from '../../../src/actors/host/once.ts';
import { type SnapshotParts, snapshotSandbox } from '../../../src/actors/host/snapshot.ts';
import type { Sandbox } from '../../../src/actors/sandbox/sandbox.ts';
import { DormouseError } from '../../../src/errors/index.ts';
import { quiet } from '../../support/quiet.ts';
import { sandboxInput } from '../sandbox/support.ts';
import { commandContext, fakeSandbox } from './fake-sandbox.ts';
import { makeTemplate, snapshotFolder, TEAM, templateStore } from './template-folders.ts';

const MEMORY = { name: 'awake', memory: true, overwrite: false };
const DISK = { name: 'asleep', memory: false, overwrite: false };

/** A host whose one sandbox is copied as a folder with a few small files. */
async function world(t: Test) {
  const store = await templateStore(t);
  const { paths, clock, templates } = store;
  const seen = { synced: [] as string[], flattened: [] as string[], shrunk: 0 };
  const hooks = { flatten: async (): Promise<void> => {}, checkSpace: async (): Promise<void> => {} };
  const original = fakeSandbox(
    {
      ...sandboxInput(
        { defaults: { user: 'app', cwd: '/app', env: { A: '1' } } },
        { vcpus: 2, memory_mb: 256, disk_size_mb: 2048 },
      ),
    },
    {
      async onCommand(name, body) {
        const { dir, memory } = body as { dir: string; memory: boolean };
        if (memory) await snapshotFolder(dir, { vcpus: 2, memory_mb: 256, disk_size_mb: 2048 });
        else await mkdir(dir);
        await writeFile(path.join(dir, 'disk'), `the disk of ${name}`);
      },
    },
  );
  const parts = {
    templates,
    captures: new Captures(paths.captures, { clock, log: quiet }),
    drivers: {
      checkSpace: () => hooks.checkSpace(),
      disk: {
        sync: async (dir: string) => void seen.synced.push(dir),
        async flatten({ sandboxId, dir }: { sandboxId: string; dir: string }, imagePath: string) {
          seen.flattened.push(sandboxId);
          await hooks.flatten();
          await writeFile(imagePath, await readFile(path.join(dir, 'disk')));
        },
      },
    },
    images: {
      async shrink() {
        seen.shrunk += 1;
      },
    },
    once: new Once(),
    ports: { clock, log: quiet },
    // Only what is used of the disk driver.
  } as unknown as SnapshotParts;
  const snapshot = (request: typeof MEMORY, changes = {}, sandbox: Sandbox = original.sandbox) =>
    snapshotSandbox(sandbox, request, commandContext(changes), parts);
  const left = async (): Promise<string[]> => [
    ...(await readdir(paths.captures).catch(() => [])),
    ...(await readdir(paths.templates)),
  ];
  return { ...store, seen, hooks, parts, original, snapshot, left };
}

t.test('with memory it is a machine that was saved, safe against a power cut', async (t) => {
  const { snapshot, left, seen, paths, original } = await world(t);
  const made = await snapshot(MEMORY);
  t.match(made, {
    team_id: TEAM,
    name: 'awake',
    kind: 'snapshot',
    memory: true,
    size_mb: 2048,
    vcpus: 2,
    memory_mb: 256,
    disk_size_mb: 2048,
    user: 'app',
    cwd: '/app',
    env: { A: '1' },
    source_sandbox_id: original.sandbox.id,
    start_cmd: null,
  });
  const dir = path.join(paths.templates, made.id, 'snapshot');
  t.same((await readdir(dir)).sort(), ['disk', 'memory', 'meta.json', 'synced']);
  t.same(seen.synced, [dir]);
  t.same(await left(), [made.id], 'the copy was moved');
  t.same(seen.flattened, []);
});

t.test('without, it is an image that needs no other, and as small as it can be', async (t) => {
  const { snapshot, left, seen, paths, original } = await world(t);
  const made = await snapshot(DISK);
  t.match(made, { kind: 'snapshot', memory: false, disk_size_mb: 2048, user: 'app' });
  t.same((await readdir(path.join(paths.templates, made.id))).sort(), ['rootfs.ext4', 'template.json']);
  t.equal(seen.shrunk, 1);
  t.not(seen.flattened[0], original.sandbox.id, 'the copy is read, not the disk that is written to');
  t.same(await left(), [made.id]);
});

t.test('a name that is taken is replaced only when that is said', async (t) => {
  const { snapshot, templates, left, original } = await world(t);
  const before = await makeTemplate(templates, { name: 'awake' });
  await t.rejects(snapshot(MEMORY), { code: 'TEMPLATE_EXISTS' });
  t.same(original.told, [], 'nothing was copied');
  const made = await snapshot({ ...MEMORY, overwrite: true }, { commandId: 'c-2' });
  t.not(made.id, before.id);
  t.same(await left(), [made.id]);
});

t.test('what fails leaves nothing', async (t) => {
  const { snapshot, hooks, left } = await world(t);
  hooks.flatten = async () => {
    throw new DormouseError('DISK_FAILED', 'It cannot be read.');
  };
  await t.rejects(snapshot(DISK), { code: 'DISK_FAILED' });
  t.same(await left(), []);
  hooks.checkSpace = async () => {
    throw new DormouseError('DISK_FULL', 'no space');
  };
  await t.rejects(snapshot(MEMORY, { commandId: 'c-2' }), { code: 'DISK_FULL' });
  t.same(await left(), []);
  const refusing = fakeSandbox(
    {},
    {
      onCommand: () => Promise.reject(new DormouseError('SANDBOX_WRONG_STATE', 'It is crashed.')),
    },
  );
  hooks.checkSpace = async () => {};
  await t.rejects(snapshot(MEMORY, { commandId: 'c-3' }, refusing.sandbox), { code: 'SANDBOX_WRONG_STATE' });
  t.same(await left(), []);
});

t.test('a command that comes again is answered with what it made, by the next agent, too', async (t) => {
  const { snapshot, original, parts, open } = await world(t);
  const made = await snapshot(MEMORY);
  t.same(await snapshot(MEMORY), made);
  const next = { ...parts, templates: await open(), once: new Once() };
  t.match(await snapshotSandbox(original.sandbox, MEMORY, commandContext(), next), { id: made.id });
  t.equal(original.told.length, 1);
  await t.rejects(snapshot(DISK), { code: 'IDEMPOTENCY_KEY_REUSED' });
});
