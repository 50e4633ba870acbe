import { mkdir, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import t from 'tap';
import { checkSynced, markSynced, readMeta } from '../../../../src/actors/sandbox/snapshot-meta.ts';
import { settled } from '../../../support/gate.ts';
import { contentsOf, stepsWorld } from './world.ts';

/** What copies of a sandbox are, and what is left when one fails. */

const LOADABLE = ['device.state', 'disk', 'memory', 'meta.json'];

for (const [name, from] of [
  ['captureLive', 'live'],
  ['captureSnapshot', 'snapshot'],
] as const) {
  t.test(`${name}: with memory it is what can be loaded, file by file`, async (t) => {
    const { run, fill, paths, root } = await stepsWorld(t);
    await fill(paths[from]);
    const capture = { dir: path.join(root, 'captures', 'k-1'), memory: true };
    t.same(await run(name, { capture }), {});
    t.same(await contentsOf(capture.dir), await contentsOf(paths[from]));
    const meta = await readMeta(capture.dir);
    t.same(meta, await readMeta(paths[from]));
    await checkSynced(capture.dir, meta);
  });

  t.test(`${name}: without memory it is a disk, and nothing that could be loaded`, async (t) => {
    const { run, fill, paths, root } = await stepsWorld(t);
    await fill(paths[from]);
    const capture = { dir: path.join(root, 'k-1'), memory: false };
    await run(name, { capture });
    t.same(Object.keys((await contentsOf(capture.dir)) ?? {}), ['disk']);
  });

  t.test(`${name}: the folder is made anew each time, and shares nothing that is written to`, async (t) => {
    const { run, fill, paths, root } = await stepsWorld(t);
    await fill(paths[from]);
    const capture = { dir: path.join(root, 'k-1'), memory: true };
    await mkdir(capture.dir);
    await writeFile(path.join(capture.dir, 'left'), 'of an earlier try');
    await run(name, { capture });
    await writeFile(path.join(paths[from], 'disk'), 'written afterwards');
    t.same(Object.keys((await contentsOf(capture.dir)) ?? {}), LOADABLE);
    t.not((await contentsOf(capture.dir))?.disk, 'written afterwards');
    await run(name, { capture });
    t.equal((await contentsOf(capture.dir))?.disk, 'written afterwards');
  });

  t.test(`${name}: of a copy that fails, or that nobody wants any more, nothing is left`, async (t) => {
    const { run, fill, paths, root } = await stepsWorld(t);
    await fill(paths[from]);
    const capture = { dir: path.join(root, 'k-1'), memory: true };
    const before = await contentsOf(paths[from]);
    await t.rejects(run(name, { capture }, AbortSignal.abort(new Error('gone'))), /gone/);
    t.equal(await contentsOf(capture.dir), undefined);
    await rm(path.join(paths[from], 'device.state'));
    await t.rejects(run(name, { capture }), { code: 'DISK_FAILED' });
    t.equal(await contentsOf(capture.dir), undefined, 'though disk and memory were there already');
    delete before?.['device.state'];
    t.same(await contentsOf(paths[from]), before, 'and what it was to be made of is as before');
  });

  t.test(`${name}: without a word about where to, it is our mistake`, async (t) => {
    const { run } = await stepsWorld(t);
    await t.rejects(run(name), { code: 'INTERNAL' });
  });
}

t.test('captureLive: a machine that runs, or is gone, is not copied', async (t) => {
  const { run, fill, paths, root, machine } = await stepsWorld(t);
  await fill(paths.live);
  const capture = { dir: path.join(root, 'k-1'), memory: true };
  for (const [status, code] of [
    ['running', 'STEP_FAILED'],
    ['gone', 'VMM_GONE'],
  ] as const) {
    machine.status = status;
    await t.rejects(run('captureLive', { capture }), { code });
    t.equal(await contentsOf(capture.dir), undefined);
  }
});

t.test('captureSnapshot: a memory that a power cut may have taken is refused; the disk is not', async (t) => {
  const { run, fill, paths, root } = await stepsWorld(t);
  await fill(paths.snapshot, { boot_id: 'an earlier one' });
  const dir = path.join(root, 'k-1');
  await t.rejects(run('captureSnapshot', { capture: { dir, memory: true } }), { code: 'SNAPSHOT_INVALID' });
  t.equal(await contentsOf(dir), undefined);
  await run('captureSnapshot', { capture: { dir, memory: false } });
  t.same(Object.keys((await contentsOf(dir)) ?? {}), ['disk']);
  await markSynced(paths.snapshot);
  await run('captureSnapshot', { capture: { dir, memory: true } });
  t.same(Object.keys((await contentsOf(dir)) ?? {}), LOADABLE, 'one that had reached the disk is copied');
});

t.test('settleGuest: a guest whose memory is not copied writes its file systems back', async (t) => {
  const { run, fill, paths, guest } = await stepsWorld(t);
  await fill(paths.live);
  const ran: Array<{ execId: string; argv: readonly string[] }> = [];
  guest.exec = async (request) => void ran.push(request);
  await run('settleGuest', { capture: { dir: '/k-1', memory: false } });
  await run('settleGuest', { capture: { dir: '/k-1', memory: false } });
  await run('settleGuest', { capture: { dir: '/k-2', memory: false } });
  t.same(
    ran.map(({ argv }) => argv),
    [['sync'], ['sync'], ['sync']],
  );
  t.equal(ran[0]?.execId, ran[1]?.execId, 'once for each copy, also when the step is run again');
  t.not(ran[0]?.execId, ran[2]?.execId);
  await run('settleGuest', { capture: { dir: '/k-3', memory: true } });
  t.equal(ran.length, 3, 'with its memory there is no need');
});

t.test('settleGuest: a guest that cannot, or does not answer, stops nothing', async (t) => {
  const { run, fill, paths, guest, clock } = await stepsWorld(t);
  await fill(paths.live);
  const capture = { dir: '/k-1', memory: false };
  guest.exec = async () => {
    throw new Error('there is no sync');
  };
  t.same(await run('settleGuest', { capture }), {});
  guest.exec = (_request, signal) =>
    new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
  const done = run('settleGuest', { capture });
  await settled();
  clock.advance(5_000);
  t.same(await done, {});
});

t.test('setClock: the guest is told the time, under the token that it has', async (t) => {
  const { run, asked } = await stepsWorld(t);
  await run('setClock');
  t.same(asked, ['identify']);
});
