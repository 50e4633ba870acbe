import { readdir } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import t, { type Test } from 'tap';
import { newSandboxId } from '../../../src/ids.ts';
import { countingLab } from '../counting.ts';
import { hostLab } from '../host-lab.ts';

/** Forks of sandboxes whose disks are device-mapper snapshots: running and paused, and what stands on what. */

const lab = await hostLab(t);
const { exec, counting, goesOn } = countingLab(lab);

/** How often forks are made anew when one of the machines has crashed. */
const TRIES_MAX = 4;
/** How long machines run until it counts that none has crashed, in milliseconds. */
const STEADY_MS = 2_000;

/**
 * A sandbox and forks of it, all of which run. KVM inside QEMU's emulation now and then resets a guest when several are loaded at once
 * (2 of about 40 with QEMU 7.2, never with emulated processors): then all of it is done again.
 */
async function forked(t: Test, state: string): Promise<{ id: string; ids: string[] }> {
  for (let tries = 1; ; tries += 1) {
    const id = await counting(t);
    if (state === 'paused') await lab.host().command(id, 'pause');
    const ids = [newSandboxId(), newSandboxId()];
    for (const each of ids) lab.forget(t, each);
    await lab.host().ask('fork', { id, ids });
    await sleep(STEADY_MS);
    const views = await Promise.all([id, ...ids].map((each) => lab.host().view(each)));
    const crashed = views.filter((view) => view?.state === 'crashed');
    if (crashed.length === 0 || tries === TRIES_MAX) return { id, ids };
    for (const view of crashed) t.comment(`${view?.id} crashed: ${view?.last_error?.detail}`);
    for (const each of [id, ...ids]) await lab.host().command(each, 'destroy');
  }
}

for (const state of ['running', 'paused'])
  t.test(`forks of a ${state} one share nothing that is written`, async (t) => {
    const { id, ids } = await forked(t, state);
    t.match(await lab.host().view(id), { state, last_error: null });
    if (state === 'paused') await lab.host().command(id, 'resume');
    const all = [id, ...ids];
    for (const each of all) {
      await goesOn(t, each);
      t.equal(await lab.written(each), 'kept');
      t.equal(await exec(each, 'cat /late'), 'not synced');
      await exec(each, `echo ${each} > /written; sync`);
    }
    for (const each of all) t.equal(await lab.written(each), each, 'each has a disk of its own');
    t.same(await lab.disagreements(), []);
    // One that came from a capture is paused and resumed as any other, and outlives the original.
    await lab.host().command(id, 'destroy');
    for (const each of ids) {
      await lab.host().command(each, 'pause');
      await lab.host().command(each, 'resume');
      await goesOn(t, each);
      await lab.host().command(each, 'destroy');
    }
    t.same(await lab.disagreements(), []);
    t.same(await readdir(path.join(lab.dataDir, 'store', 'captures')), [], 'no copy is left');
  });
