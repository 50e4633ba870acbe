import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import t from 'tap';
import { difference, pageOf, piecesOf, runSession } from '../docs/session.ts';
import { pythonRootfs } from '../support/python-rootfs.ts';
import { up } from './templates/support.ts';

/**
 * Runs the examples of the pages under `docs/` and compares what they print. With `DORMOUSE_TEST_UPDATE_DOCS=1` the pages get what was
 * printed instead.
 */

t.setTimeout(900_000);

const PAGES = ['templates', 'snapshots', 'forks', 'sizes', 'teams'];
const REPO = path.join(import.meta.dirname, '..', '..');

/** What the pages take for granted, and say so: where the programs are, and a function for requests. */
const PRELUDE = `
# The test runner's loaders are for the tests.
unset NODE_OPTIONS
dormouse() { "$BIN" "$@"; }
key=$(cat $DORMOUSE_DATA_DIR/api-key)
api() { curl -s -X "$1" "$DORMOUSE_URL/v1/$2" -H "X-API-Key: $key" -H 'content-type: application/json' \${3:+-d "$3"}; echo; }
`;

const rootfs = await pythonRootfs();
for (const name of PAGES)
  await t.test(`docs/${name}.md`, async (t) => {
    const file = path.join(REPO, 'docs', `${name}.md`);
    const pieces = piecesOf(await readFile(file, 'utf8'));
    const steps = pieces.flatMap((piece) => ('steps' in piece ? piece.steps : []));
    t.ok(steps.length > 0, 'it has examples');
    const cwd = await mkdtemp(path.join(os.tmpdir(), 'dm-docs-'));
    t.teardown(() => rm(cwd, { recursive: true, force: true }));
    const server = await up(t);
    const printed = await runSession(
      steps.map(({ command }) => command),
      {
        cwd,
        prelude: PRELUDE,
        env: {
          BIN: path.join(REPO, 'bin', 'dormouse'),
          DORMOUSE_DATA_DIR: server.dataDir,
          DORMOUSE_URL: server.url,
          ROOTFS: rootfs,
        },
      },
    );
    t.equal(printed.length, steps.length, 'all were run');
    if (process.env.DORMOUSE_TEST_UPDATE_DOCS) {
      for (const [index, step] of steps.entries()) step.output = printed[index] ?? [];
      await writeFile(file, pageOf(pieces));
      return;
    }
    for (const [index, { command, output }] of steps.entries())
      t.equal(difference(output, printed[index] ?? []), undefined, command);
  });
