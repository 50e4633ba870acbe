import fc from 'fast-check';
import t from 'tap';
import { hasCode } from '../../../src/errors/index.ts';
import { isSound } from '../support.ts';
import { type Item, importer, needsRoot, pathsIn, SHELL, tarOf } from './support.ts';

/** Archives of random entries with names that meet: none writes outside of its folder, whatever is in it. */

const seed = Number(process.env.DORMOUSE_TEST_SEED ?? Date.now() % 2 ** 31);
t.comment(`seed ${seed}; repeat with DORMOUSE_TEST_SEED`);
const RUNS = 40;

const part = fc.oneof(
  { weight: 60, arbitrary: fc.constantFrom('a', 'b', 'c', 'd', 'e', 'dev') },
  { weight: 4, arbitrary: fc.constantFrom('.', '', 'é', 'with "quotes" and \\', 'n'.repeat(120)) },
  { weight: 1, arbitrary: fc.constantFrom('..', '.wh.a', '.wh..wh..opq', '.wh...', 'n'.repeat(300)) },
);
const name = fc.oneof(
  { weight: 30, arbitrary: fc.array(part, { minLength: 1, maxLength: 3 }).map((parts) => parts.join('/')) },
  { weight: 1, arbitrary: fc.constantFrom('/a', './', '/', '../canary', '../../canary', 'a/../../canary') },
);
const mode = fc.constantFrom(0o644, 0o755, 0o4755, 0o1777, 0o000);
const owner = fc.constantFrom(0, 1000, 2_000_000);
const item: fc.Arbitrary<Item> = fc.oneof(
  { weight: 8, arbitrary: fc.record({ name, mode, uid: owner, content: fc.string({ maxLength: 20 }) }) },
  { weight: 5, arbitrary: fc.record({ name, mode, gid: owner, type: fc.constant('directory' as const) }) },
  { weight: 3, arbitrary: fc.record({ name, type: fc.constant('symlink' as const), linkname: name }) },
  { weight: 1, arbitrary: fc.record({ name, type: fc.constant('link' as const), linkname: name }) },
  {
    weight: 1,
    arbitrary: fc.record({ name, type: fc.constantFrom('fifo' as const, 'character-device' as const) }),
  },
);
const items = fc.array(item, { maxLength: 6 });

/** One archive, or an image of several; the lowest has a shell. */
async function uploadOf([lowest = [], ...others]: ReadonlyArray<readonly Item[]>): Promise<Buffer> {
  const archive = await tarOf([SHELL, ...lowest]);
  if (others.length === 0) return archive;
  const layers = [archive, ...(await Promise.all(others.map(tarOf)))];
  const manifest = [{ Config: 'c.json', Layers: layers.map((_, index) => `${index}.tar`) }];
  return await tarOf([
    { name: 'c.json', content: '{}' },
    { name: 'manifest.json', content: JSON.stringify(manifest) },
    ...layers.map((content, index) => ({ name: `${index}.tar`, content })),
  ]);
}

for (const [what, arbitrary] of [
  ['an archive', fc.tuple(items)],
  ['an image of two layers', fc.tuple(items, items)],
] as const)
  t.test(`${what} is refused, or becomes what was expected`, needsRoot, async (t) => {
    const outcomes = { refused: 0, built: 0 };
    await fc.assert(
      fc.asyncProperty(arbitrary, async (layers) => {
        const undo: Array<() => unknown> = [];
        const { build, imagePath, left } = await importer({ teardown: (step) => undo.push(step) });
        try {
          const built = await build(await uploadOf(layers)).catch((error: unknown) => {
            if (hasCode(error, 'TEMPLATE_INVALID')) return undefined;
            throw error;
          });
          const found = await left();
          if (found.length > 0) throw new Error(`left: ${found.join(', ')}`);
          outcomes[built ? 'built' : 'refused'] += 1;
          if (!built) return;
          if (!(await isSound(imagePath))) throw new Error('e2fsck finds something wrong');
          const paths = await pathsIn(imagePath);
          if (paths.length !== built.files)
            throw new Error(`${built.files} files were expected, there are: ${paths.join(', ')}`);
        } finally {
          for (const step of undo) await step();
        }
      }),
      { seed, numRuns: RUNS },
    );
    t.comment(outcomes);
    t.ok(outcomes.built > 0 && outcomes.refused > 0, 'both happen');
  });
