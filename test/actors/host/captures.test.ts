import { access, mkdir, mkdtemp, readdir, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import t, { type Test } from 'tap';
import { Captures } from '../../../src/actors/host/captures.ts';
import { DormouseError } from '../../../src/errors/index.ts';
import { fakeClock } from '../../support/fake-clock.ts';
import { quiet } from '../../support/quiet.ts';
import { commandContext, fakeSandbox } from './fake-sandbox.ts';

async function capturesIn(t: Test) {
  const store = await mkdtemp(path.join(os.tmpdir(), 'dormouse-captures-'));
  t.teardown(() => rm(store, { recursive: true, force: true }));
  const root = path.join(store, 'captures');
  const clock = fakeClock();
  return { root, clock, captures: new Captures(root, { clock, log: quiet }) };
}
const makeFolder = async (_: string, body: unknown): Promise<void> => {
  await mkdir((body as { dir: string }).dir);
};

t.test('a copy is taken, lent, and gone afterwards', async (t) => {
  const { captures, root } = await capturesIn(t);
  const { sandbox, told } = fakeSandbox({}, { onCommand: makeFolder });
  const made = await captures.take(sandbox, { memory: true }, commandContext(), async (dir) => {
    await access(dir);
    t.same(told, [{ name: 'capture', body: { dir, memory: true } }]);
    t.same(await captures.strays([sandbox]), [], 'it is in use');
    return 'made';
  });
  t.equal(made, 'made');
  t.same(await readdir(root), []);
});

t.test('it is gone as well when the copy, or what is made from it, fails', async (t) => {
  const { captures, root } = await capturesIn(t);
  const { sandbox } = fakeSandbox({}, { onCommand: makeFolder });
  await t.rejects(
    captures.take(sandbox, { memory: false }, commandContext(), async () => {
      throw new Error('no room');
    }),
    { message: 'no room' },
  );
  const refusing = fakeSandbox(
    {},
    {
      async onCommand(name, body) {
        await makeFolder(name, body);
        throw new DormouseError('SANDBOX_WRONG_STATE', 'It is crashed.');
      },
    },
  );
  await t.rejects(
    captures.take(refusing.sandbox, { memory: true }, commandContext(), async () => t.fail('lent')),
    { code: 'SANDBOX_WRONG_STATE' },
  );
  t.same(await readdir(root), []);
});

t.test('a sandbox that is still copying for a caller who has gone is waited for', async (t) => {
  const { captures, root } = await capturesIn(t);
  const copying = fakeSandbox(
    {},
    {
      async onCommand(name, body) {
        await makeFolder(name, body);
        Object.assign(copying.sandbox.context, { capture: body });
        copying.become('capturing.copying');
        throw new DormouseError('CANCELLED', 'The caller went away.');
      },
    },
  );
  const taken = captures.take(copying.sandbox, { memory: true }, commandContext(), async () =>
    t.fail('lent'),
  );
  while ((await readdir(root).catch(() => [])).length === 0 || copying.sandbox.actor.state === 'running')
    await new Promise((resolve) => setImmediate(resolve));
  t.equal((await readdir(root)).length, 1, 'its folder is there as long as it is written to');
  copying.become('running');
  await t.rejects(taken, { code: 'CANCELLED' });
  t.same(await readdir(root), []);
});

t.test('a folder that no operation has and no sandbox is filling is a stray', async (t) => {
  const { captures, root } = await capturesIn(t);
  for (const name of ['k-left', 'k-busy']) await mkdir(path.join(root, name), { recursive: true });
  const busy = fakeSandbox(
    { capture: { dir: path.join(root, 'k-busy'), memory: true } },
    { state: 'capturing.copying' },
  );
  t.same(await captures.strays([busy.sandbox]), ['k-left']);
  busy.become('running');
  t.same(await captures.strays([busy.sandbox]), ['k-busy', 'k-left']);
  await captures.removeStray('k-left');
  t.equal(await captures.begin(), 1, 'at a start all go');
  t.same(await readdir(root), []);
});
