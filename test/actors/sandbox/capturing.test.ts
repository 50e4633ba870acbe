import path from 'node:path';
import t from 'tap';
import { gate } from '../../support/gate.ts';
import { idle, reached, sandboxWorld, turn } from '../system/sandbox-world.ts';

/** What others see of a sandbox that is copied. */

const program = { argv: ['/bin/true'] };

t.test('a program that comes while a sandbox is copied waits, and is run', async (t) => {
  const { root, create, context, disk, guest } = await sandboxWorld(t);
  const sandbox = await create({ timeout_s: 0 });
  const copied = gate();
  disk.copied = copied.passed;
  const capture = sandbox.command('capture', { dir: path.join(root, 'k-1'), memory: true }, context());
  await reached(sandbox, 'capturing.copying');
  const exec = sandbox.exec(program, context());
  await idle(sandbox);
  t.equal(guest.runs, 0, 'the guest stands still, and is not asked');
  copied.open();
  t.equal((await capture).state, 'running');
  t.equal((await exec).exit_code, 0);
  t.equal(guest.runs, 1);
});

t.test('a program that runs while a sandbox is copied goes on, and its caller does not notice', async (t) => {
  const { root, create, context, guest } = await sandboxWorld(t);
  const sandbox = await create({ timeout_s: 0 });
  const ended = gate();
  guest.until = ended.passed;
  const exec = sandbox.exec(program, context());
  while (guest.runs === 0) await turn();
  await sandbox.command('capture', { dir: path.join(root, 'k-1'), memory: true }, context());
  ended.open();
  t.equal((await exec).exit_code, 0);
  t.equal(guest.runs, 1, 'it was asked for once, over one connection');
});

t.test('callers see what a copy can be taken for, and not how', async (t) => {
  const { root, create, context, disk } = await sandboxWorld(t);
  const sandbox = await create({ timeout_s: 0 });
  t.same(sandbox.view().allowed, ['exec', 'pause', 'restart', 'ping', 'destroy', 'snapshot', 'fork']);
  t.same(sandbox.actor.refused('resume', 'c-1').data?.allowed, [
    ...['pause', 'restart', 'ping', 'destroy', 'snapshot', 'fork'],
  ]);
  const copied = gate();
  disk.copied = copied.passed;
  const capture = sandbox.command('capture', { dir: path.join(root, 'k-1'), memory: true }, context());
  await reached(sandbox, 'capturing.copying');
  t.match(sandbox.view(), { state: 'capturing', step: 'copying', allowed: [] });
  await t.rejects(sandbox.command('pause', {}, context()), { code: 'SANDBOX_WRONG_STATE' });
  await t.rejects(sandbox.command('capture', { dir: '/k-2', memory: true }, context()), {
    code: 'SANDBOX_WRONG_STATE',
    message: /does not take "snapshot" or "fork"/,
  });
  copied.open();
  await capture;
  const paused = await sandbox.command('pause', {}, context());
  t.same(paused.allowed, ['resume', 'restart', 'resize', 'destroy', 'snapshot', 'fork']);
});

t.test('a host that dies in the middle of a copy goes on with it', async (t) => {
  const { root, create, afterDeath, context, disk } = await sandboxWorld(t);
  const before = await create({ timeout_s: 0 });
  disk.copied = new Promise(() => {});
  const dir = path.join(root, 'k-1');
  before.command('capture', { dir, memory: true }, context()).catch(() => {});
  await reached(before, 'capturing.copying');
  const stopping = before.actor.stop();
  disk.copied = undefined;
  await stopping.catch(() => {});
  const after = await afterDeath(before, 1_000);
  await reached(after, 'running');
  t.equal(after.context.capture, null);
  t.equal(after.context.lastError, null);
});

t.test('the caller of a copy that went away stops it, and the sandbox goes on', async (t) => {
  const { root, create, context, machine, disk, clock } = await sandboxWorld(t);
  const sandbox = await create({ timeout_s: 0 });
  const copied = gate();
  disk.copied = copied.passed;
  const leaving = new AbortController();
  const capture = sandbox.command(
    'capture',
    { dir: path.join(root, 'k-1'), memory: true },
    context({ signal: leaving.signal }),
  );
  capture.catch(() => {});
  await reached(sandbox, 'capturing.copying');
  t.equal(machine.isFrozen, true);
  leaving.abort(new Error('the caller is gone'));
  await turn();
  // A step that does not end by itself is given up after a grace.
  clock.advance(5_000);
  await reached(sandbox, 'running');
  t.equal(machine.isFrozen, false);
  copied.open();
  await t.rejects(capture);
});

t.test('a larger disk is answered with its size, and a smaller one is refused with both', async (t) => {
  const { create, context } = await sandboxWorld(t);
  const sandbox = await create({ disk_size_mb: 1024 });
  await t.rejects(sandbox.command('resize', { disk_size_mb: 2048 }, context()), {
    code: 'SANDBOX_WRONG_STATE',
  });
  await sandbox.command('pause', {}, context());
  const { seq } = sandbox.view();
  t.match(await sandbox.command('resize', { disk_size_mb: 2048 }, context()), {
    state: 'paused',
    disk_size_mb: 2048,
  });
  await t.rejects(sandbox.command('resize', { disk_size_mb: 1024 }, context()), {
    code: 'INVALID_SIZE',
    data: { disk_size_mb: 1024, minimum_mb: 2048 },
  });
  t.match(sandbox.view(), { disk_size_mb: 2048, seq, last_error: null });
});
