import { readdir } from 'node:fs/promises';
import t from 'tap';
import { dormouse, json, temporaryFolder } from './support.ts';

t.test('examines this machine', async (t) => {
  const folder = await temporaryFolder(t);
  const settings = { DORMOUSE_DATA_DIR: folder, DORMOUSE_ACCELERATOR: 'tcg', TMPDIR: folder };
  const result = await dormouse(['doctor', '--json'], settings);
  const { ok, findings } = json<{ ok: boolean; findings: Array<{ name: string; found: string }> }>(result);
  t.equal(result.status, ok ? 0 : 1);
  const accelerator = findings.find(({ name }) => name === 'accelerator');
  // The monitor's own answer, or that of the set-up whose files are not there.
  t.match(accelerator?.found, /TCG|set-up/);
  t.same(await readdir(folder), [], 'and leaves nothing');
});
