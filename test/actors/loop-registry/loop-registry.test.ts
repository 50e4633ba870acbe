import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, rename, symlink } from 'node:fs/promises';
import path from 'node:path';
import { execa } from 'execa';
import t from 'tap';
import { Lane } from '../../../src/actors/host/lane.ts';
import { DormouseError } from '../../../src/errors/index.ts';
import { fakeClock } from '../../support/fake-clock.ts';
import { gate } from '../../support/gate.ts';
import { quiet } from '../../support/quiet.ts';
import { by, imageFolder, patientClock, startRegistry } from './support.ts';

t.test('100 holders that ask at once share one read-only loop', async (t) => {
  const images = await imageFolder(t);
  const image = await images.image('a.img');
  const registry = await startRegistry(t, images.folder);
  const holders = Array.from({ length: 100 }, (_, index) => `sb-${String(index).padStart(3, '0')}`);
  const entries = await Promise.all(holders.map((holder) => registry.acquire(image, holder, by())));
  const [loop, ...others] = await images.loops();
  t.same(others, [], 'there is one loop');
  t.match(loop, { file: image, readOnly: true, autoclear: false });
  t.ok(entries.every(({ device }) => device === loop?.device));
  t.same(registry.list()[0]?.holders, holders);

  const replies = await Promise.all(holders.map((holder) => registry.release(image, holder, by())));
  t.equal(replies.filter(({ detached }) => detached).length, 1, 'it goes once, with the last one');
  t.same(await images.loops(), []);
  t.same(registry.list(), []);
});

t.test('a holder that asks twice counts once', async (t) => {
  const images = await imageFolder(t);
  const image = await images.image('a.img');
  await symlink(image, path.join(images.folder, 'link'));
  const registry = await startRegistry(t, images.folder);
  const first = await registry.acquire(image, 'one', by());
  t.same(await registry.acquire(path.join(images.folder, 'link'), 'one', by()), first, 'by another path too');
  t.same(first.holders, ['one']);
  t.same(await registry.release(image, 'one', by()), { detached: true, holders: [] });
  t.same(await images.loops(), []);
});

t.test('a stranger releases nothing', async (t) => {
  const images = await imageFolder(t);
  const image = await images.image('a.img');
  const registry = await startRegistry(t, images.folder);
  await t.rejects(registry.release(image, 'one', by()), { code: 'LOOP_NOT_HELD' });
  const entry = await registry.acquire(image, 'one', by());
  await t.rejects(registry.release(image, 'two', by()), {
    code: 'LOOP_NOT_HELD',
    data: { image, holder: 'two' },
  });
  t.same(registry.list(), [entry]);
  t.equal((await images.loops()).length, 1);
});

t.test('an image that was replaced is another origin', async (t) => {
  const images = await imageFolder(t);
  const image = await images.image('a.img');
  const registry = await startRegistry(t, images.folder);
  const old = await registry.acquire(image, 'old', by());
  await rename(await images.image('b.img'), image);

  const fresh = await registry.acquire(image, 'fresh', by());
  t.not(fresh.device, old.device);
  t.not(fresh.file_id, old.file_id);
  t.same(fresh.holders, ['fresh']);
  t.equal((await registry.acquire(image, 'old', by())).device, old.device, 'who holds the old one keeps it');
  t.same(await registry.leaks(by()), [], 'both are held');

  t.same(await registry.release(image, 'old', by()), { detached: true, holders: [] });
  t.same(await images.loops(), [{ device: fresh.device, file: image, autoclear: false, readOnly: true }]);
});

t.test('what cannot be attached leaves no holder and no loop', async (t) => {
  const images = await imageFolder(t);
  const registry = await startRegistry(t, images.folder);
  const folder = path.join(images.folder, 'folder');
  await mkdir(folder);
  await t.rejects(registry.acquire(path.join(images.folder, 'absent.img'), 'one', by()), {
    code: 'LOOP_FAILED',
  });
  await t.rejects(registry.acquire(folder, 'one', by()), {
    code: 'LOOP_FAILED',
    detail: /failed to set up loop device/,
    data: { command: ['losetup', '--find', '--show', '--read-only', '--', folder], exit_status: 1 },
  });
  await t.rejects(registry.acquire('/etc/passwd', 'one', by()), { code: 'INVALID_REQUEST' });
  t.same(registry.list(), []);
  t.same(await images.loops(), []);
});

t.test('a loop that a process holds open is reported until it goes', async (t) => {
  const images = await imageFolder(t);
  const image = await images.image('a.img');
  const registry = await startRegistry(t, images.folder);
  const { device } = await registry.acquire(image, 'one', by());
  const opener = execFile('sh', ['-c', 'exec < "$0" && echo open && exec sleep 600', device]);
  t.teardown(() => opener.kill('SIGKILL'));
  await once(opener.stdout as NodeJS.ReadableStream, 'data');

  t.same(await registry.release(image, 'one', by()), { detached: false, holders: [] });
  t.match(await registry.leaks(by()), [{ device, image, reason: 'still-open' }]);
  t.match(registry.list(), [{ device, holders: [] }], 'it is not lost');
  const next = await registry.acquire(image, 'two', by());
  t.not(next.device, device, 'it is not given to the next one');

  opener.kill('SIGKILL');
  await once(opener, 'close');
  t.same(await registry.leaks(by()), []);
  t.same(registry.list(), [next]);
});

t.test('what could not be detached is tried again', async (t) => {
  const images = await imageFolder(t);
  const image = await images.image('a.img');
  const { clock, retry } = patientClock();
  const users = new Map<string, string[]>();
  let retried = false;
  const tidied = Promise.withResolvers<void>();
  const lane = new Lane();
  const registry = await startRegistry(t, images.folder, {
    ports: { clock, log: quiet },
    users: async () => users,
    lane: async (label, operation, signal) => {
      const result = await lane.run(label, operation, signal);
      if (label === 'loops: tidy' && retried) tidied.resolve();
      return result;
    },
  });
  const { device } = await registry.acquire(image, 'one', by());
  users.set(device, ['foreign']);
  await registry.release(image, 'one', by());
  t.equal((await images.loops()).length, 1);
  users.clear();
  retried = true;
  retry();
  await tidied.promise;
  t.same(await images.loops(), []);
});

t.test('the registry is rebuilt from the kernel', async (t) => {
  const images = await imageFolder(t);
  const [used, unused] = [await images.image('used.img'), await images.image('unused.img')];
  const users = new Map<string, string[]>();
  const askUsers = async () => users;
  // The first one is dropped, as a process that dies would: it is never asked to stop before the second one works.
  const first = await startRegistry(t, images.folder, { users: askUsers });
  const entry = await first.acquire(used, 'dm-one', by());
  await first.acquire(unused, 'dm-two', by());
  users.set(entry.device, ['dm-one']);

  const outside = await imageFolder(t);
  const foreign = await outside.image('foreign.img');
  await execa('losetup', ['--find', '--read-only', foreign]);

  const second = await startRegistry(t, images.folder, { users: askUsers });
  t.same(second.list(), [entry], 'a device that stands on a loop holds it');
  t.match(await images.loops(), [{ device: entry.device }], 'a loop without one is detached');
  t.equal((await outside.loops()).length, 1, 'loops of others are left alone');

  t.equal((await second.acquire(used, 'dm-one', by())).device, entry.device);
  await t.rejects(second.release(used, 'dm-one', by()), { code: 'DEVICE_BUSY' });
  t.same(second.list(), [entry], 'the device is still there, so it holds the loop as before');
  users.clear();
  t.same(await second.release(used, 'dm-one', by()), { detached: true, holders: [] });
  t.same(await images.loops(), []);
});

t.test('a device that nobody told of keeps the loop', async (t) => {
  const images = await imageFolder(t);
  const image = await images.image('a.img');
  const users = new Map<string, string[]>();
  const registry = await startRegistry(t, images.folder, { users: async () => users });
  const { device } = await registry.acquire(image, 'one', by());
  users.set(device, ['foreign']);
  t.same(await registry.release(image, 'one', by()), { detached: false, holders: ['foreign'] });
  t.match(await registry.leaks(by()), [{ device, reason: 'foreign-user' }]);
  t.match(await images.loops(), [{ device, autoclear: false }]);
  t.equal((await registry.acquire(image, 'two', by())).device, device);
  users.clear();
  t.same(await registry.release(image, 'two', by()), { detached: true, holders: [] });
});

t.test('a kernel that cannot be asked', async (t) => {
  const images = await imageFolder(t);
  const image = await images.image('a.img');
  let broken = false;
  const users = async () => {
    if (broken) throw new DormouseError('LOOP_FAILED', 'dmsetup deps: no answer');
    return new Map();
  };
  const registry = await startRegistry(t, images.folder, { users });
  broken = true;
  await t.rejects(registry.acquire(image, 'one', by()), { code: 'LOOP_FAILED' });
  await t.rejects(startRegistry(t, images.folder, { users }), { code: 'LOOP_FAILED' }, 'no start without it');
  broken = false;
  const { device } = await registry.acquire(image, 'one', by());
  broken = true;
  await t.rejects(registry.release(image, 'one', by()), { code: 'LOOP_FAILED' });
  t.match(registry.list(), [{ device, holders: [] }], 'the loop is listed, without its holder');
  broken = false;
  t.match(await registry.leaks(by()), [{ device, reason: 'not-detached' }]);
  t.equal((await registry.acquire(image, 'two', by())).device, device, 'a healthy loop is used again');
  await registry.release(image, 'two', by());
  t.same(await images.loops(), []);
});

t.test('a caller that goes away leaves nothing', async (t) => {
  const images = await imageFolder(t);
  const image = await images.image('a.img');
  const gone = new AbortController();
  const asked = Promise.withResolvers<void>();
  let armed = false;
  const registry = await startRegistry(t, images.folder, {
    users: async (signal) => {
      // After losetup has bound the loop, the second look hangs until the caller has gone.
      if (armed && (await images.loops()).length > 0) {
        armed = false;
        asked.resolve();
        await once(signal, 'abort');
        signal.throwIfAborted();
      }
      return new Map();
    },
  });
  armed = true;
  const answer = registry.acquire(image, 'one', by(gone.signal));
  await asked.promise;
  t.equal((await images.loops()).length, 1);
  gone.abort(new DormouseError('CANCELLED', 'The caller has gone.'));
  await t.rejects(answer, { code: 'CANCELLED' });
  t.same(await images.loops(), [], 'the loop was taken back');
});

t.test('a start that comes to no end says where to look, and leaves nothing at work', async (t) => {
  const images = await imageFolder(t);
  const clock = fakeClock();
  const asked = gate();
  let isAborted = false;
  const started = startRegistry(t, images.folder, {
    ports: { clock, log: quiet },
    users: (signal) =>
      new Promise((_resolve, reject) => {
        signal.addEventListener('abort', () => {
          isAborted = true;
          reject(signal.reason);
        });
        asked.open();
      }),
  });
  started.catch(() => {});
  await asked.passed;
  clock.advance(60_000);
  await t.rejects(started, { code: 'LOOP_FAILED', detail: /losetup --list/ });
  t.equal(isAborted, true);
});
