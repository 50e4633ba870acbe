import fc from 'fast-check';
import t from 'tap';
import type { LoopRegistry } from '../../../src/actors/loop-registry/index.ts';
import { by, type Images, imageFolder, startRegistry } from './support.ts';

const seed = Number(process.env.DORMOUSE_TEST_SEED ?? Date.now() % 2 ** 31);
t.comment(`seed ${seed}; repeat with DORMOUSE_TEST_SEED`);

/** The model: image → its holders. A loop is there if and only if the set is not empty. */
type Model = Map<string, Set<string>>;
interface Real {
  registry: LoopRegistry;
  images: Images;
}

/** After each step the kernel has one loop for each image that is held, and the registry lists the same. */
async function agrees(model: Model, { registry, images }: Real): Promise<void> {
  const held = [...model].filter(([, holders]) => holders.size > 0);
  const expected = held.map(([image, holders]) => ({ image, holders: [...holders].sort() }));
  const byImage = (a: { image: string }, b: { image: string }): number => a.image.localeCompare(b.image);
  const listed = registry.list().sort(byImage);
  same(
    listed.map(({ image, holders }) => ({ image, holders })),
    expected.sort(byImage),
    'the registry',
  );
  const loops = (await images.loops()).map(({ file, device }) => ({ image: file, device })).sort(byImage);
  same(
    loops,
    listed.map(({ image, device }) => ({ image, device })),
    'the kernel',
  );
}

function same(found: unknown, expected: unknown, what: string): void {
  if (JSON.stringify(found) !== JSON.stringify(expected))
    throw new Error(`${what} has ${JSON.stringify(found)}, not ${JSON.stringify(expected)}`);
}

class Acquire implements fc.AsyncCommand<Model, Real> {
  readonly image: string;
  readonly holders: readonly string[];
  constructor(image: string, holders: readonly string[]) {
    this.image = image;
    this.holders = holders;
  }
  check = (): boolean => true;
  async run(model: Model, real: Real): Promise<void> {
    await Promise.all(this.holders.map((holder) => real.registry.acquire(this.image, holder, by())));
    const set = model.get(this.image) ?? new Set();
    for (const holder of this.holders) set.add(holder);
    model.set(this.image, set);
    await agrees(model, real);
  }
  toString = (): string => `acquire ${this.image} ${this.holders}`;
}

class Release implements fc.AsyncCommand<Model, Real> {
  readonly image: string;
  readonly holder: string;
  constructor(image: string, holder: string) {
    this.image = image;
    this.holder = holder;
  }
  check = (): boolean => true;
  async run(model: Model, real: Real): Promise<void> {
    const outcome = await real.registry.release(this.image, this.holder, by()).catch((error) => error.code);
    const set = model.get(this.image);
    if (set?.delete(this.holder))
      same(outcome, { detached: set.size === 0, holders: [...set].sort() }, 'the reply');
    else same(outcome, 'LOOP_NOT_HELD', 'the reply to a stranger');
    await agrees(model, real);
  }
  toString = (): string => `release ${this.image} ${this.holder}`;
}

t.test('acquire and release in any order do what a map of sets does', async (t) => {
  const images = await imageFolder(t);
  const files = [await images.image('a.img'), await images.image('b.img'), await images.image('c.img')];
  const file = fc.constantFrom(...files);
  const holder = fc.constantFrom('one', 'two', 'three');
  const commands = fc.commands(
    [
      fc
        .tuple(file, fc.array(holder, { minLength: 1, maxLength: 3 }))
        .map(([image, holders]) => new Acquire(image, holders)),
      fc.tuple(file, holder).map(([image, name]) => new Release(image, name)),
    ],
    { maxCommands: 20 },
  );
  let steps = 0;
  await fc.assert(
    fc.asyncProperty(commands, async (sequence) => {
      const registry = await startRegistry(t, images.folder);
      try {
        await fc.asyncModelRun(() => ({ model: new Map(), real: { registry, images } }), sequence);
      } finally {
        steps += [...sequence].length;
        await registry.stop();
      }
    }),
    { seed, numRuns: 10 },
  );
  t.ok(steps > 0, `${steps} steps`);
});
