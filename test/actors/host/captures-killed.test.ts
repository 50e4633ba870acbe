import { readdir } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { newSandboxId } from '../../../src/ids.ts';
import { startHostLab } from '../../support/host-lab.ts';
import { atRest } from '../../support/host-process.ts';
import { create, isTidy, run, SETTINGS, templatesOf } from './real-host.ts';

/** A host that is killed in the middle of a snapshot and of a fork leaves whole things only. */

const SOON = { ...SETTINGS, DORMOUSE_JANITOR_S: '1' };
const LIMIT_MS = 60_000;

t.test('a host that is killed leaves whole templates and whole sandboxes', async (t) => {
  const lab = await startHostLab(t, { settings: SOON });
  const id = await create(lab, {});
  await run(lab, id, 'echo kept >/root/file');
  /** Lets the host die at the point of the operation, and waits until the next one has tidied up. */
  const killAt = async (point: string, operation: () => Promise<unknown>): Promise<void> => {
    await lab.arm({ point, action: 'kill' });
    await t.rejects(operation(), { message: 'the host died' }, point);
    await lab.restart();
    await lab.host().until(id, atRest);
    const captures = path.join(lab.dataDir, 'store', 'captures');
    for (
      const end = Date.now() + LIMIT_MS;
      (await readdir(captures).catch(() => [])).length > 0;
      await sleep(100)
    )
      if (Date.now() > end) throw new Error('a capture stays');
    t.equal(await run(lab, id, 'cat /root/file'), 'kept');
  };

  for (const memory of [true, false])
    await killAt('captureLive done', () =>
      lab.host().ask('snapshot', { id, name: 'half', memory, overwrite: false }),
    );
  t.same(await templatesOf(lab), ['minimal']);

  const ids = [newSandboxId(), newSandboxId()];
  await killAt('welcomeGuest begins', () => lab.host().ask('fork', { id, ids }));
  for (const fork of ids) {
    const view = await lab.host().until(fork, atRest);
    if (view) t.equal(await run(lab, fork, 'cat /root/file'), 'kept', 'one that is there is whole');
  }
  await isTidy(t, lab);
  await lab.host().command(id, 'pause');
  await lab.host().ask('snapshot', { id, name: 'whole', memory: true, overwrite: false });
  t.equal((await templatesOf(lab)).length, 2, 'and what was cut short can be done again');
});
