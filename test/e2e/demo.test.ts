import { readdir } from 'node:fs/promises';
import t from 'tap';
import { dormouse, newDataDir, removeDataDir, tracesLeft } from '../support/dormouse.ts';

/** The demo where no server runs: it starts its own, plays the whole life on a real virtual machine, and leaves nothing. */

t.setTimeout(180_000);

t.test('the whole life, one JSON line a step, and nothing is left', async (t) => {
  const folder = await newDataDir();
  t.teardown(() => removeDataDir(folder));
  const settings = { DORMOUSE_DATA_DIR: folder, TMPDIR: folder, DORMOUSE_STORE_SIZE_MB: '4096' };
  const { exitCode, stdout, stderr } = await dormouse(['demo', '--own-server-if-none', '--json'], settings);
  t.equal(exitCode, 0, stderr);
  const steps = stdout.split('\n').map((line) => JSON.parse(line).step);
  for (const step of ['create', 'pause', 'resume', 'the counter goes on', 'destroy'])
    t.ok(steps.includes(step), step);
  t.same(await tracesLeft(folder), []);
  t.same(await readdir(folder), []);
});
