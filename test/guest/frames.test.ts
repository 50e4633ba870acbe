import path from 'node:path';
import { execa } from 'execa';
import t from 'tap';
import { buildKit } from '../drivers/guest/kit.ts';

/** The kit's frame parser, under sanitizers, against frames that were damaged at random. */

const SECONDS = 3;
const seed = process.env.DORMOUSE_TEST_SEED ?? String(Date.now());
t.comment(`seed ${seed}; repeat with DORMOUSE_TEST_SEED`);

t.test('no damaged frame is read beyond its end', async (t) => {
  const fuzz = path.join(await buildKit(), 'frame-fuzz');
  const { exitCode, stdout, stderr } = await execa(fuzz, [seed, String(SECONDS)], { reject: false });
  t.equal(stderr, '', 'the sanitizers say nothing');
  t.equal(exitCode, 0, 'some frames were whole and some refused');
  t.comment(stdout);
});
