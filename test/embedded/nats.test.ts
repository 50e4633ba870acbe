import { mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import t from 'tap';
import { systemClock } from '../../src/clock.ts';
import { startNats } from '../../src/embedded/nats.ts';
import { silentLog } from '../support/nats.ts';

t.test('starts', async (t) => {
  const dir = await mkdtemp(path.join(os.tmpdir(), 'dormouse-nats-'));
  t.teardown(() => rm(dir, { recursive: true, force: true }));
  const nats = await startNats({ dir, clock: systemClock, log: silentLog });
  t.match(nats.url, /^nats:/);
  await nats.stop();
});
